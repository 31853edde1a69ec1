"""A Git LFS pointer or a page of HTML in place of a file: one line that says so, and what to do."""

import gzip

import pytest

import kerasbert
from kerasbert import Backbone, InputError, checkpoints
from kerasbert.checkpoints.tf_file import read_tf_file
from kerasbert.checkpoints.torch_file import read_torch_file
from kerasbert.data import read_columns, read_examples
from kerasbert.data.corpus import read_documents
from kerasbert.data.tables import read_table
from kerasbert.files.stand_ins import refuse_stand_in
from kerasbert.text import load_vocabulary

STAND_INS = {
    "is a Git LFS pointer, not the file itself; run git lfs pull in the clone": (
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3\n"
        b"size 440473133\n"
    ),
    "is a page of HTML, as browsers show it, not the file itself; download": (
        b"<!doctype html>\n<html lang=en>\n<title>Not found</title>\n" + b"<p>sorry</p>\n" * 99
    ),
}
TEXTS = ("train.conll", "train.txt")
everything = pytest.mark.parametrize(("message", "content"), STAND_INS.items(), ids=["lfs", "html"])


def refused(path, read, message):
    with pytest.raises(InputError) as caught:
        read()
    assert f"{path}: {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


@everything
@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("kerasbert", ["config.json", "model.safetensors", "vocab.txt"]),
        ("hf", ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"]),
        ("google", ["bert_config.json", "bert_model.ckpt.index", "vocab.txt"]),
        ("google", ["bert_model.ckpt.data-00000-of-00001"]),
        ("kerashub", ["config.json", "model.weights.h5", "tokenizer.json"]),
        ("kerashub", ["assets/tokenizer/vocabulary.txt"]),
    ],
)
def test_models(tiny_backbone, tokenizer, tmp_path, format, names, message, content):
    path = tmp_path / "model"
    tiny_backbone(tokenizer, pooler=True).save_to_preset(path, format=format, tokenizer=tokenizer)

    def load():
        preset = checkpoints.load(path)
        Backbone.from_preset(preset)
        kerasbert.tokenizer_from_preset(path)

    load()
    for name in names:
        before = (path / name).read_bytes()
        (path / name).write_bytes(content)
        refused(path / name, load, message)
        (path / name).write_bytes(before)
    load()


@everything
def test_files(tmp_path, message, content):
    for name, read in {
        "pytorch_model.bin": read_torch_file,
        "tf_model.h5": read_tf_file,
        "vocab.txt": load_vocabulary,
        "train.tsv": read_examples,
        "train.csv": read_examples,
        "train.jsonl": read_examples,
        "train.tsv.gz": read_examples,
        "train.conll": read_columns,
        "train.txt": lambda path: list(read_documents([str(path)])),
        "train.txt.gz": lambda path: list(read_documents([str(path)])),
        "train.parquet": lambda path: list(read_documents([str(path)])),
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        if name not in TEXTS or "LFS" in message:
            refused(path, lambda read=read, path=path: read(path), message)


def test_texts_may_begin_with_html(tmp_path):
    page = "<html><body>a page</body></html>"
    (tmp_path / "a.txt").write_text(f"{page}\n")
    assert list(read_documents([str(tmp_path / "a.txt")])) == [[page]]
    assert read_table(tmp_path / "a.txt") == [(1, {"text": page})]
    (tmp_path / "a.tsv").write_text(f"{page}\tham\na\tspam\n")
    examples = read_examples(tmp_path / "a.tsv", column_names=["text", "label"])
    assert examples.texts["text"] == [page, "a"]
    (tmp_path / "a.csv").write_text(f"text,label\n{page},ham\n")
    assert read_examples(tmp_path / "a.csv").labels == ["ham"]
    (tmp_path / "a.conll").write_text("<html>\tO\nhere\tB-X\n")
    assert read_columns(tmp_path / "a.conll").texts["words"] == [["<html>", "here"]]


@everything
def test_compressed(tmp_path, message, content):
    path = tmp_path / "train.tsv.gz"
    path.write_bytes(gzip.compress(content))
    refused(path, lambda: read_examples(path), message)


@pytest.mark.parametrize(
    ("content", "is_page"),
    [
        (b"\xef\xbb\xbf<!DOCTYPE HTML PUBLIC>", True),
        (b"\r\n\t<html>", True),
        (b'<?xml version="1.0"?><!DOCTYPE html><html xmlns="x">', True),
        (b"<!-- a\nmirror --><html lang='en'>", True),
        (b"<doc id=1>", False),
        (b"<htmlize it>", False),
        (b"html", False),
        (b"a text about <html>", False),
        (b"version https://example.org", False),
        (b"", False),
    ],
)
def test_what_is_a_page(tmp_path, content, is_page):
    path = tmp_path / "x"
    path.write_bytes(content)
    for head in (None, content):
        if is_page:
            refused(path, lambda head=head: refuse_stand_in(path, head), "is a page of HTML")
        else:
            refuse_stand_in(path, head)
    refuse_stand_in(tmp_path / "nowhere")
    refuse_stand_in(tmp_path)
