"""The programs that make and describe corpora."""

import concurrent.futures
import dataclasses
import errno
import itertools
import json
import shutil
import tempfile
import threading
import time

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from kerasbert import MaskedLM, files
from kerasbert.data.corpus import remote, statistics
from kerasbert.data.corpus.part import Part
from kerasbert.data.corpus.prepare import prepare_corpus as prepare_text
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.options import DataOptions
from kerasbert.errors import InputError
from kerasbert.recipes.build_vocab import build_vocab
from kerasbert.recipes.corpus_info import corpus_info
from kerasbert.recipes.find_duplicates import find_duplicates
from kerasbert.recipes.options import (
    BuildVocabOptions,
    CorpusInfoOptions,
    FindDuplicatesOptions,
    PrepareCorpusBeamOptions,
    PrepareCorpusOptions,
    PretrainOptions,
)
from kerasbert.recipes.prepare_corpus import prepare_corpus
from kerasbert.recipes.prepare_corpus_beam import join_parts, make_part, parts_directory
from kerasbert.recipes.training import _contents as contents
from kerasbert.tasks.registry import spec_of


@pytest.fixture
def given(vocabulary, tmp_path):
    """Options of text in which documents repeat."""
    text = ["the cat runs.", "the dog plays.", "a bird sings here."]
    rows = [{"body": text[i % 3], "n": i} for i in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return {"input": [str(tmp_path / "a.jsonl")], "text_column": "body"}


def prepare(tmp_path, name, **options):
    vocab = str(tmp_path / "vocab.txt")
    return prepare_corpus(PrepareCorpusOptions(vocab=vocab, output=str(tmp_path / name), **options))


def test_duplicates_are_found_before_or_meanwhile(given, tmp_path):
    output = str(tmp_path / "found")
    dedup = ["near", "document"]
    found = find_duplicates(
        FindDuplicatesOptions(**given, filter=["min_characters=14"], dedup=dedup, output=output)
    )
    assert found["documents"] == 5
    assert found["left_out"] == {"min_characters": 2, "document": 1, "near": 0}
    (example,) = found["examples"]
    path = given["input"][0]
    second = len(json.dumps({"body": "the cat runs.", "n": 0})) + 1
    assert example["kind"] == "document"
    assert example["kept"] == f"{path}@{second}"
    assert example["left_out"].startswith(f"{path}@")
    options = {**given, "filter": ["min_characters=14"]}
    before = prepare(tmp_path, "before", **options, duplicates=output)
    prepare(tmp_path, "meanwhile", **options, dedup=dedup)
    for path in (tmp_path / "before").iterdir():
        assert (tmp_path / "meanwhile" / path.name).read_bytes() == path.read_bytes()
    assert before["documents"] == 2
    assert before["left_out"] == {"min_characters": 2, "document": 1, "near": 0}
    manifest = files.read_json(tmp_path / "before" / "manifest.json")
    assert manifest["duplicates"] == {"kinds": ["document", "near"], "sha256": found["sha256"]}
    assert manifest["text_column"] == "body"
    with pytest.raises(InputError, match="found exists already"):
        find_duplicates(FindDuplicatesOptions(**given, dedup=dedup, output=output))


def test_options_that_do_not_go_together(given, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="there exists already"):  # before any text is read
        prepare(tmp_path, "there", input=["tfds:no such"], dedup=["near"])
    for options, message in (
        ({"dedup": ["near"], "part": "1/2"}, "--dedup looks at all text: with --part, .*--duplic"),
        ({"dedup": ["near"], "duplicates": "x"}, "--dedup and --duplicates must not both"),
        ({"dedup": ["far"]}, "--dedup must be one of document, near, paragraph, found 'far'"),
        ({"filter": ["far=1"]}, "--filter must be NAME=VALUE"),
    ):
        with pytest.raises(InputError, match=message):
            prepare(tmp_path, "c", **given, **options)


def test_parts_of_an_earlier_try_are_used_only_with_the_same_files(given, tmp_path):
    (tmp_path / "phrases.txt").write_text("the cat\n")
    options = PrepareCorpusBeamOptions(
        **given,
        vocab=str(tmp_path / "vocab.txt"),
        phrases=str(tmp_path / "phrases.txt"),
        output=str(tmp_path / "corpus"),
    )
    directory = parts_directory(options)
    assert parts_directory(dataclasses.replace(options, threads=1)) == directory
    assert parts_directory(dataclasses.replace(options, output=f"{tmp_path}/corpus/")) == directory
    assert parts_directory(dataclasses.replace(options, parts=3)) != directory
    (tmp_path / "phrases.txt").write_text("the dog\n")
    assert parts_directory(options) != directory


def test_parts_stay_until_there_is_a_corpus(given, tmp_path):
    vocab = str(tmp_path / "vocab.txt")
    output = tmp_path / "corpus"
    options = PrepareCorpusBeamOptions(**given, vocab=vocab, output=f"{output}/", parts=1)
    directory = parts_directory(options)
    parts = [make_part(1, options, directory)]
    output.mkdir()
    with pytest.raises(InputError, match=r"corpus: has no manifest.json, so it is not a complete"):
        join_parts(parts, options, directory)
    output.rmdir()
    for _ in range(2):  # as Beam may repeat it
        join_parts(parts, options, directory)
        assert Corpus(output).num_documents == 5
        assert not files.exists(directory)


# === corpus_info ===


def info(directory, **options):
    return corpus_info(CorpusInfoOptions(corpus=str(directory), **options))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"word_segmenter": "foo"}, "must be none, jieba or module:function, found 'foo'"),
        ({"phrases": "nowhere.txt"}, "--phrases=nowhere.txt: no such file"),
        ({"vocab": None, "tokenizer": "model", "lowercase": False}, "--nolowercase is for --vocab"),
    ],
)
def test_options_are_checked_before_anything_is_loaded(changes, message):
    with pytest.raises(InputError, match=message):
        PrepareCorpusOptions(**{"input": ["a.txt"], "vocab": "v", "output": "c", **changes})


def test_corpus_info_against_all_documents(corpus_dir, tokenizer, tmp_path, capfd):
    documents = list(Corpus(corpus_dir))
    of_documents = [sum(map(len, sentences)) for sentences in documents]
    of_sentences = [len(ids) for ids in itertools.chain.from_iterable(documents)]
    found = info(corpus_dir, picture=str(tmp_path / "a.png"), samples=60, sample_tokens=7)
    assert (found["tokens"], found["documents"]) == (sum(of_documents), 60)
    for name, lengths in (("document", of_documents), ("sentence", of_sentences)):
        about = found[f"tokens_per_{name}"]
        assert about["mean"] == round(np.mean(lengths), 1)
        assert about["p50"] == round(np.percentile(lengths, 50))
        assert about["max"] == max(lengths)
        assert about["measured"] == len(lengths)
    tokens = list(itertools.chain.from_iterable(itertools.chain.from_iterable(documents)))
    assert found["unknown_share"] == round(tokens.count(tokenizer.unknown_id) / len(tokens), 6)
    assert found["counted_tokens"] == len(tokens)
    assert [sample["document"] for sample in found["samples"]] == list(range(60))
    first = [tokenizer.token_to_id(word) for word in found["samples"][5]["sentences"][0].split()]
    assert first == documents[5][0][:7]
    shown = capfd.readouterr().err.splitlines()
    assert shown[0].split() == ["tokens", "documents", "of", "tokens"]
    (share,) = (line.split()[3] for line in shown if line.strip().startswith("16 to 31"))
    counted = sum(16 <= length < 32 for length in of_documents) / 60
    assert share == f"{counted:.2%}"
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("RGB")).std() > 20  # not empty


@pytest.mark.parametrize("name", ["manifest.json", "a.pdf", "png"])
def test_pictures_are_png(corpus_dir, name):
    with pytest.raises(InputError, match=f"--picture must end in .png, found .*{name}"):
        info(corpus_dir, picture=str(corpus_dir / name))
    assert Corpus(corpus_dir).manifest


def test_a_picture_of_a_name_that_is_no_formula(corpus_dir, tmp_path):
    shutil.copytree(corpus_dir, tmp_path / "us$_and_$")
    info(tmp_path / "us$_and_$", picture=str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").exists()


def test_pictures_replace_nothing(corpus_dir, tmp_path):
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(InputError, match=r"a\.png exists already"):
        info(corpus_dir, picture=str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").read_text() == "mine"


def test_corpus_info_of_few_of_many_documents(corpus_dir, monkeypatch):
    whole = info(corpus_dir)
    monkeypatch.setattr(statistics, "_MOST", 20)
    monkeypatch.setattr(statistics, "_MOST_TOKENS", 64)
    monkeypatch.setattr(statistics, "_BLOCK", 16)
    found = info(corpus_dir)
    assert found["tokens_per_document"]["measured"] == 20
    assert found["tokens_per_document"]["mean"] == pytest.approx(
        whole["tokens_per_document"]["mean"], rel=0.3
    )
    assert found["counted_tokens"] == 64


def test_corpus_info_of_a_part(corpus_files, tokenizer, tmp_path):
    inputs = [str(path) for path in corpus_files]
    prepare_text(inputs, tokenizer, tmp_path / "1", part=Part(1, 2), bytes_per_unit=2000)
    found = info(tmp_path / "1")
    assert (found["part"]["number"], found["part"]["of"]) == (1, 2)
    assert 0 < found["documents"] < 60


def test_corpus_info_of_a_damaged_corpus(corpus_files, tokenizer, tmp_path):
    prepare_text([str(path) for path in corpus_files], tokenizer, tmp_path / "c")
    path = tmp_path / "c" / "sentences.bin"
    starts = np.fromfile(path, "<i8")
    starts[3:9] = starts[3:9][::-1]
    starts.tofile(path)
    with pytest.raises(InputError, match="are damaged; --verify finds the file"):
        info(tmp_path / "c")
    with pytest.raises(InputError, match=r"sentences.bin: is damaged"):
        info(tmp_path / "c", verify=True)


# === Remote stores ===


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store in memory, with a file of text, and a directory for what is downloaded."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    monkeypatch.setenv("KERASBERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    system.pipe("/in/a.txt", b"the cat runs.\n\nthe dog plays.\nit sings.\n")
    yield system
    system.store.clear()


def test_a_corpus_on_a_remote_store(given, store, tmp_path):
    text = {"input": ["memory://in/*.txt"]}
    prepare(tmp_path, "here", **text)
    vocab = str(tmp_path / "vocab.txt")
    output = "memory://out/corpus"
    options = PrepareCorpusOptions(vocab=vocab, output=output, **text)
    assert prepare_corpus(options)["corpus"] == output
    for path in (tmp_path / "here").iterdir():
        assert store.cat(f"/out/corpus/{path.name}") == path.read_bytes()
    kept = set(tmp_path.iterdir())
    with pytest.raises(InputError, match="memory://out/corpus exists already"):
        prepare_corpus(options)
    corpus = Corpus(output)
    assert list(corpus) == list(Corpus(tmp_path / "here"))
    assert corpus.directory.parent == tmp_path / "cache" / "corpora"
    assert set(tmp_path.iterdir()) - kept == {tmp_path / "cache"}
    assert info(output)["documents"] == 2
    # It is downloaded once, and again if another one is there.
    for name in ("tokens-00000.bin", "vocab.txt"):
        store.rm(f"/out/corpus/{name}")
    assert list(Corpus(output)) == list(corpus)
    store.pipe("/in/b.txt", b"a bird.")
    store.rm("/out/corpus/manifest.json")  # as if an upload had been interrupted
    with pytest.raises(InputError, match=r"corpus: has no manifest.json, so it is not a complete"):
        Corpus(output)
    prepare_corpus(options)
    assert Corpus(output).num_documents == 3
    assert corpus.num_documents == 2


def test_duplicates_on_a_remote_store(given, store, tmp_path):
    found = find_duplicates(
        FindDuplicatesOptions(**given, dedup=["document"], output=str(tmp_path / "found"))
    )
    store.pipe("/found", (tmp_path / "found").read_bytes())
    options = {"vocab": str(tmp_path / "vocab.txt"), "output": str(tmp_path / "c")}
    here, there = (
        parts_directory(PrepareCorpusBeamOptions(**given, **options, duplicates=path))
        for path in (found["duplicates"], "memory://found")
    )
    assert here == there


def test_a_damaged_copy_is_named(given, store, tmp_path):
    options = {"vocab": str(tmp_path / "vocab.txt"), "output": "memory://c"}
    prepare_corpus(PrepareCorpusOptions(**options, input=["memory://in/a.txt"]))
    copy = Corpus("memory://c").directory
    (copy / "tokens-00000.bin").write_bytes(b"1234")
    message = rf"damaged .*; this is a copy of memory://c, downloaded again if {copy} is removed"
    with pytest.raises(InputError, match=message):
        Corpus("memory://c")
    shutil.rmtree(copy)
    assert Corpus("memory://c").num_documents == 2


def test_processes_wait_for_one_download(given, store, tmp_path, monkeypatch):
    options = {"vocab": str(tmp_path / "vocab.txt"), "output": "memory://c"}
    prepare_corpus(PrepareCorpusOptions(**options, input=["memory://in/a.txt"]))
    began, downloads, download = threading.Event(), [], remote._download

    def slowly(*arguments):
        downloads.append(arguments)
        began.set()
        time.sleep(0.3)
        download(*arguments)

    monkeypatch.setattr(remote, "_download", slowly)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(remote.local, "memory://c")
        assert began.wait(10)
        assert remote.local("memory://c") == first.result()
    assert len(downloads) == 1


def test_a_masked_lm_is_scored_on_a_remote_corpus(given, store, tmp_path, tiny_backbone):
    text = {"input": ["memory://in/a.txt"]}
    prepare(tmp_path, "here", **text)
    vocab = str(tmp_path / "vocab.txt")
    prepare_corpus(PrepareCorpusOptions(vocab=vocab, output="memory://c", **text))
    tokenizer = Corpus("memory://c").tokenizer
    model = MaskedLM(tiny_backbone(tokenizer), tokenizer=tokenizer)
    model.compile(run_eagerly=True)  # for a batch, tracing would take longer
    spec, options = spec_of(model), DataOptions()
    here, there = (
        spec.evaluate(model, path, options, batch_size=2, batches=1)
        for path in (str(tmp_path / "here"), "memory://c")
    )
    assert there == here
    assert there["loss"] > 0


class FullStore(MemoryFileSystem):
    protocol = "full"

    def put_file(self, *args, **kwargs):
        raise OSError(errno.EDQUOT, "Quota exceeded")


def test_a_store_that_can_not_be_written(given, store, tmp_path):
    fsspec.register_implementation("full", FullStore, clobber=True)
    options = {"vocab": str(tmp_path / "vocab.txt"), "input": ["memory://in/a.txt"]}
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match="full://c: can't be written: Quota exceeded"):
        prepare_corpus(PrepareCorpusOptions(output="full://c", **options))
    assert set(tmp_path.iterdir()) == before


def test_a_run_on_a_remote_corpus_notices_another_one(given, store, tmp_path):
    options = {"vocab": str(tmp_path / "vocab.txt"), "output": "memory://c"}
    prepare_corpus(PrepareCorpusOptions(**options, input=["memory://in/a.txt"]))
    pretraining = PretrainOptions(corpus=["memory://c"], output=str(tmp_path / "run"))
    before = contents(pretraining)
    assert list(before) == ["content of corpus"]
    assert contents(pretraining) == before
    store.rm("/c/manifest.json")
    prepare_corpus(PrepareCorpusOptions(**options, input=["memory://in/a.txt"] * 2))
    assert contents(pretraining) != before


def test_a_vocabulary_from_a_store_and_from_nothing(store, tmp_path):
    output = str(tmp_path / "v.txt")
    store.pipe("/in/b.jsonl", b'{"body": "a red bird"}')
    options = {"text_column": "body", "vocab_size": 60, "output": output, "min_frequency": 1}
    found = build_vocab(BuildVocabOptions(input=["memory://in/b.jsonl"], **options))
    assert found["documents"] == 1
    assert {"r", "##d"} <= set((tmp_path / "v.txt").read_text().split())
    store.pipe("/in/c.txt", b"\n\n")
    (tmp_path / "v.txt").unlink()
    with pytest.raises(InputError, match=r"there is no text in memory://in/c.txt"):
        build_vocab(BuildVocabOptions(input=["memory://in/c.txt"], **options))
