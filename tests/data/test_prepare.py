import gc
import itertools
import json
import pathlib
import random
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from kerasbert import files
from kerasbert.data.corpus import writer
from kerasbert.data.corpus.prepare import prepare_corpus, split_sentences
from kerasbert.data.corpus.reader import Corpus, same_vocabulary
from kerasbert.data.pretraining.mixture import most_frequent_token
from kerasbert.errors import InputError
from kerasbert.text import WordPieceTokenizer


def documents_of(paths):
    """The documents of the fixture's files, as a plain program reads and splits them."""
    for path in paths:
        for document in path.read_text().split("\n\n"):
            lines = document.strip().split("\n")
            yield [s for line in lines for s in re.split(r"(?<=[.!?])\s+", line) if s]


def prepare(paths, tokenizer, directory, **options):
    return prepare_corpus([str(path) for path in paths], tokenizer, directory, **options)


def test_round_trip(corpus_files, corpus_dir, tokenizer):
    expected = [tokenizer(sentences).to_list() for sentences in documents_of(corpus_files)]
    corpus = Corpus(corpus_dir)
    assert list(corpus) == expected
    sentences = list(itertools.chain.from_iterable(expected))
    tokens = list(itertools.chain.from_iterable(sentences))
    assert corpus.num_documents == len(expected) == 60
    assert corpus.num_tokens == len(tokens)
    assert corpus.manifest["sentences"] == len(sentences)
    np.testing.assert_array_equal(
        corpus.token_counts(), np.bincount(tokens, minlength=tokenizer.vocabulary_size)
    )
    assert corpus.tokenizer.get_config() == tokenizer.get_config()
    assert most_frequent_token(corpus) == max(set(tokens) - set(range(5)), key=tokens.count)


def test_manifest(corpus_files, corpus_dir):
    manifest = json.loads((corpus_dir / "manifest.json").read_text())
    assert manifest["inputs"] == [str(path) for path in corpus_files]
    assert manifest["empty_documents"] == manifest["invalid_utf8_lines"] == 0
    listed = manifest["shards"] + manifest["index"]
    names = {one["file"] for one in listed} | {"manifest.json", "vocab.txt"}
    assert {path.name for path in corpus_dir.iterdir()} == names
    for one in listed:
        assert files.sha256(corpus_dir / one["file"]) == one["sha256"]


@pytest.mark.parametrize("tokens_per_shard", [137, 1000])
def test_shards(corpus_files, corpus_dir, tokenizer, tmp_path, tokens_per_shard):
    one = Corpus(corpus_dir)
    prepare(corpus_files, tokenizer, tmp_path / "c", tokens_per_shard=tokens_per_shard)
    many = Corpus(tmp_path / "c")
    sizes = [shard["count"] for shard in many.manifest["shards"]]
    assert len(sizes) > 1
    assert max(sizes) <= tokens_per_shard
    assert list(many) == list(one)
    np.testing.assert_array_equal(many.token_counts(), one.token_counts())

    chooser = random.Random(3)
    starts = [chooser.randrange(one.num_tokens) for _ in range(50)]
    ends = [chooser.randint(start, one.num_tokens) for start in starts]
    starts, ends = tf.constant(starts, tf.int64), tf.constant(ends, tf.int64)
    found = tf.function(many.read)(starts, ends)
    assert found.dtype == tf.int32
    assert found.to_list() == one.read(starts, ends).to_list()


@pytest.mark.parametrize("tokens_per_shard", [0, -5])
def test_impossible_shards_are_refused(corpus_files, tokenizer, tmp_path, tokens_per_shard):
    with pytest.raises(InputError, match="tokens_per_shard must be 1 or more"):
        prepare(corpus_files, tokenizer, tmp_path / "c", tokens_per_shard=tokens_per_shard)
    assert list(tmp_path.iterdir()) == []


def test_too_many_shards_are_refused(corpus_files, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "MOST_SHARDS", 20)
    with pytest.raises(InputError, match="20 shards; this text needs larger ones"):
        prepare(corpus_files, tokenizer, tmp_path / "c", tokens_per_shard=7)
    assert list(tmp_path.iterdir()) == []


def test_shards_are_not_kept_open(corpus_files, tokenizer, tmp_path):
    def open_files():
        return len(list(pathlib.Path("/proc/self/fd").iterdir()))

    most = []
    prepare(
        corpus_files,
        tokenizer,
        tmp_path / "c",
        tokens_per_shard=20,
        progress=lambda _: most.append(open_files()),
    )
    before = open_files()
    corpus = Corpus(tmp_path / "c")
    assert len(corpus.manifest["shards"]) > 50
    assert max(most) < before + 10
    assert open_files() == before


def test_mappings_end_with_the_corpus(sharded):
    def mapped():
        return str(sharded) in pathlib.Path("/proc/self/maps").read_text()

    corpus = Corpus(sharded)
    assert mapped()
    del corpus
    gc.collect()
    assert not mapped()


def test_preparing_twice_gives_the_same_bytes(corpus_files, corpus_dir, tokenizer, tmp_path):
    prepare(corpus_files, tokenizer, tmp_path / "c")
    for path in corpus_dir.iterdir():
        assert (tmp_path / "c" / path.name).read_bytes() == path.read_bytes()


def test_large_vocabulary(vocabulary, tmp_path):
    pieces = [*vocabulary, *(f"w{i}" for i in range(70_000))]
    (tmp_path / "a.txt").write_text("w1 w69999\n\nw66000 the")
    prepare([tmp_path / "a.txt"], WordPieceTokenizer(pieces), tmp_path / "c")
    expected = [[[pieces.index(word) for word in row]] for row in (["w1", "w69999"], ["w66000"])]
    expected[1][0].append(pieces.index("the"))
    assert list(Corpus(tmp_path / "c")) == expected


def test_what_has_no_tokens_is_left_out(tokenizer, tmp_path):
    text = "the cat\n\u200b\n\n\x00\n\n\nthe dog. \u200b. \n"
    (tmp_path / "a.txt").write_text(text)
    manifest = prepare([tmp_path / "a.txt"], tokenizer, tmp_path / "c")
    the, cat, dog, stop = map(tokenizer.token_to_id, ("the", "cat", "dog", "."))
    corpus = Corpus(tmp_path / "c")
    assert list(corpus) == [[[the, cat]], [[the, dog, stop], [stop]]]
    assert manifest["documents"] == 2


def test_many_lines_are_batched_in_order(tokenizer, tmp_path):
    numbers = [str(i) for i in range(5000)]
    rows = [{"text": "\n".join(numbers[i : i + 7])} for i in range(0, 5000, 7)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    seen = []
    prepare([tmp_path / "a.jsonl"], tokenizer, tmp_path / "c", progress=seen.append)
    found = list(Corpus(tmp_path / "c"))
    sentences = list(itertools.chain.from_iterable(found))
    words = [tokenizer.detokenize([s]).numpy()[0].decode() for s in sentences[::99]]
    assert words == numbers[::99]
    assert [len(document) for document in found] == [7] * 714 + [2]
    assert sum(seen) == 5000


def test_invalid_lines_and_empty_documents_are_counted(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"the \xff cat\n\ndog")
    (tmp_path / "b.jsonl").write_text('{"text": ""}\n{"text": "cat"}')
    inputs = [tmp_path / "a.txt", tmp_path / "b.jsonl"]
    manifest = prepare(inputs, tokenizer, tmp_path / "c")
    facts = [manifest[key] for key in ("documents", "empty_documents", "invalid_utf8_lines")]
    assert facts == [3, 1, 1]


@pytest.mark.parametrize(
    ("line", "sentences"),
    [
        ("One. Two!  Three?", ["One.", "Two!", "Three?"]),
        ("He said “no.” Then (yes.) End", ["He said “no.”", "Then (yes.)", "End"]),
        ("3.5 is a.b", ["3.5 is a.b"]),
        ("他来了。她走了！谁？「好。」完", ["他来了。", "她走了！", "谁？", "「好。」", "完"]),
        ("什么？！好。。。「真的！！！」完", ["什么？！", "好。。。", "「真的！！！」", "完"]),
        ("Wait... what?!", ["Wait...", "what?!"]),
        ("यह ठीक है। वह कहाँ है?", ["यह ठीक है।", "वह कहाँ है?"]),
        ("هل هذا جيد؟ نعم.", ["هل هذا جيد؟", "نعم."]),
        ("یہ ٹھیک ہے۔ وہ کہاں ہے؟", ["یہ ٹھیک ہے۔", "وہ کہاں ہے؟"]),
        ("ሰላም ነው። ደህና", ["ሰላም ነው።", "ደህና"]),
        ("Բարեւ։ Այո", ["Բարեւ։", "Այո"]),
        ("", []),
    ],
)
def test_split_sentences(line, sentences):
    found = split_sentences(tf.constant([line, "x"])).to_list()
    assert [one.decode() for one in found[0] if one] == sentences
    assert found[1] == [b"x"]


@pytest.mark.parametrize("add_prefix_space", [False, True])
def test_byte_level_bpe_keeps_the_spaces_between_sentences(
    make_tokenizer, corpus_files, tmp_path, add_prefix_space
):
    settings = {"kind": "bytepair", "add_prefix_space": add_prefix_space}
    tokenizer = make_tokenizer(settings)
    more = ["He came. She left.  It was (nice!) “So?”   Yes... 3.5 of them.", "The end. \t No."]
    lines = [*corpus_files[0].read_text().split("\n"), *more]
    lines = [line for line in lines if line]
    (tmp_path / "a.txt").write_text("\n\n".join(lines), encoding="utf-8")
    prepare([tmp_path / "a.txt"], tokenizer, tmp_path / "c")
    found = list(Corpus(tmp_path / "c"))
    assert [len(document) for document in found][-2:] == [6, 2]
    # The tokens are those of the running text, so that the first word of a sentence is a new word.
    running = [[*itertools.chain.from_iterable(document)] for document in found]
    assert running == tokenizer(lines).to_list()
    begins = [sentence[0] for document in found for sentence in document[1:]]
    assert not tokenizer.continues_word[begins].any()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_run_leaves_nothing(corpus_files, tokenizer, tmp_path, error):
    def stop(sentences):
        raise error

    with pytest.raises(error):
        prepare(corpus_files, tokenizer, tmp_path / "c", progress=stop)
    assert list(tmp_path.iterdir()) == []
    prepare(corpus_files, tokenizer, tmp_path / "c")  # a second try finds nothing in its way
    assert Corpus(tmp_path / "c").num_documents == 60


def test_bad_input_leaves_nothing(corpus_files, tokenizer, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a"}\n{"text"')
    with pytest.raises(InputError, match=r"bad.jsonl:2"):
        prepare([*corpus_files, bad], tokenizer, tmp_path / "out" / "c")
    assert not (tmp_path / "out").exists()


def test_no_text(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text("\n\u200b\n")
    with pytest.raises(InputError, match=r"there is no text in .*a.txt"):
        prepare([tmp_path / "a.txt"], tokenizer, tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_existing_directory_is_refused(corpus_files, tokenizer, tmp_path):
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="c exists already"):
        prepare(corpus_files, tokenizer, tmp_path / "c")


@pytest.fixture
def sharded(corpus_files, tokenizer, tmp_path):
    prepare(corpus_files, tokenizer, tmp_path / "c", tokens_per_shard=500)
    return tmp_path / "c"


FILES = ["tokens-00001.bin", "sentences.bin", "documents.bin"]


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(sharded, name):
    data = bytearray((sharded / name).read_bytes())
    data[11] ^= 1
    (sharded / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name}: is damaged"):
        Corpus(sharded)
    Corpus(sharded, verify=False)


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("keep", [None, 0, 8, 16])
@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_file_is_named(sharded, name, keep, verify):
    if keep is None:
        (sharded / name).unlink()
    else:
        (sharded / name).write_bytes((sharded / name).read_bytes()[:keep])
    with pytest.raises(InputError, match=name):
        Corpus(sharded, verify=verify)


def test_a_changed_vocabulary(sharded, vocabulary):
    (sharded / "vocab.txt").write_text("\n".join([*vocabulary, "zebra"]) + "\n")
    with pytest.raises(
        InputError, match=r"vocab.txt: not the vocabulary of the tokenizer's config"
    ):
        Corpus(sharded)


def test_no_corpus(sharded, tmp_path):
    with pytest.raises(InputError, match=r"none: no such corpus"):
        Corpus(tmp_path / "none")
    files.write_json(sharded / "manifest.json", {"format": "kerasbert-corpus", "version": 3})
    with pytest.raises(InputError, match=r"manifest.json: is not .* version 2"):
        Corpus(sharded)
    (sharded / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"c: has no manifest.json"):
        Corpus(sharded)


def swap(manifest):
    first, second, *others = manifest["shards"]
    manifest["shards"] = [second, first, *others]


def rename_and_swap(manifest):
    swap(manifest)
    for number, shard in enumerate(manifest["shards"]):
        shard["file"] = f"tokens-{number:05d}.bin"


CHANGES = {
    "swapped": swap,
    "doubled": lambda manifest: manifest["shards"].insert(0, manifest["shards"][0]),
    "left out": lambda manifest: manifest["shards"].pop(),
    "none": lambda manifest: manifest.update(shards=[]),
    "sentences as documents": lambda manifest: manifest["index"].reverse(),
    "one index twice": lambda manifest: manifest["index"].__setitem__(1, manifest["index"][0]),
    "tokens": lambda manifest: manifest.update(tokens=5),
    "sentences": lambda manifest: manifest.update(sentences=5),
    "documents": lambda manifest: manifest.update(documents=5),
    "a file elsewhere": lambda manifest: manifest["shards"][0].update(file="../a.txt"),
}
# What only the sum of the manifest itself shows.
MORE_CHANGES = {
    "contents swapped": rename_and_swap,
    "cased": lambda manifest: manifest["tokenizer"].update(lowercase=False),
    "another key": lambda manifest: manifest.update(more=1),
    "no sum": lambda manifest: manifest.pop("sha256"),
}


def change_manifest(directory, change, **facts):
    manifest = files.read_json(directory / "manifest.json")
    manifest.update(facts)
    change(manifest)
    files.write_json(directory / "manifest.json", manifest)


@pytest.mark.parametrize("change", CHANGES | MORE_CHANGES)
def test_a_changed_manifest_is_refused(sharded, change):
    change_manifest(sharded, (CHANGES | MORE_CHANGES)[change])
    with pytest.raises(InputError, match=r"manifest.json: is damaged"):
        Corpus(sharded)


@pytest.mark.parametrize("change", CHANGES)
def test_files_of_a_corpus_belong_together(sharded, change):
    change_manifest(sharded, CHANGES[change], version=1)
    with pytest.raises(InputError, match=r"manifest.json: (its files are not|has \d+ \w+, but)"):
        Corpus(sharded)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(shards=None), "shards must be a list, found None"),
        (lambda manifest: manifest.pop("tokenizer"), "tokenizer"),
        (lambda manifest: manifest.update(tokens="x"), "tokens must be a whole number"),
        (lambda manifest: manifest["shards"][0].update(file=7), "file must be a string"),
        (lambda manifest: manifest["index"].pop(), "index must be a list of 2"),
        (lambda manifest: manifest["index"][0].pop("count"), "count"),
    ],
)
def test_a_manifest_of_wrong_types(sharded, change, message):
    change_manifest(sharded, change, version=1)
    with pytest.raises(InputError, match=rf"manifest.json: .*{message}"):
        Corpus(sharded)


def test_a_manifest_without_its_own_sum(sharded):
    whole = list(Corpus(sharded))
    change_manifest(sharded, lambda manifest: manifest.pop("sha256"), version=1)
    assert list(Corpus(sharded)) == whole


@pytest.mark.parametrize(
    ("name", "position", "value", "message"),
    [
        ("sentences.bin", 0, 1, "does not increase from 0 to"),
        ("sentences.bin", -1, 1, "does not increase from 0 to"),
        ("sentences.bin", 3, 0, "does not increase from 0 to"),
        ("documents.bin", 2, 10**9, "does not increase from 0 to"),
        ("tokens-00001.bin", 2, 60_000, "contains the id 60000"),
    ],
)
def test_numbers_that_can_not_be(sharded, name, position, value, message):
    numbers = np.fromfile(sharded / name, "<u2" if name.startswith("tokens") else "<i8")
    numbers[position] = value
    numbers.tofile(sharded / name)

    def forge(manifest):
        (facts,) = (f for f in manifest["shards"] + manifest["index"] if f["file"] == name)
        facts["sha256"] = files.sha256(sharded / name)

    change_manifest(sharded, forge, version=1)
    with pytest.raises(InputError, match=f"{name}: {message}"):
        Corpus(sharded)


def test_a_corpus_may_be_moved(corpus_dir, tmp_path):
    shutil.copytree(corpus_dir, tmp_path / "moved")
    assert list(Corpus(tmp_path / "moved")) == list(Corpus(corpus_dir))


def test_same_vocabulary(corpus_files, corpus_dir, vocabulary, tmp_path):
    same_vocabulary([Corpus(corpus_dir), Corpus(corpus_dir)])
    prepare(corpus_files, WordPieceTokenizer(vocabulary, lowercase=False), tmp_path / "cased")
    with pytest.raises(InputError, match="different tokenizers"):
        same_vocabulary([Corpus(corpus_dir), Corpus(tmp_path / "cased")])
