"""Corpora that are made in parts are those that are made at once, byte for byte."""

import errno
import gzip
import json
import os
import random
import shutil

import numpy as np
import pytest

from kerasbert import files
from kerasbert.data.corpus import joining, writer
from kerasbert.data.corpus.joining import join_corpora
from kerasbert.data.corpus.part import Part
from kerasbert.data.corpus.prepare import prepare_corpus
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.corpus.units import plan_units, share
from kerasbert.errors import InputError
from kerasbert.text import WordPieceTokenizer

SMALL = {"bytes_per_unit": 700, "tokens_per_shard": 100}


@pytest.fixture(scope="module")
def inputs(corpus_files, tmp_path_factory):
    """Files of all formats, of which some share a unit and some are divided."""
    directory = tmp_path_factory.mktemp("inputs")
    texts = [document for path in corpus_files for document in path.read_text().split("\n\n")]
    plain, lines, wiki, packed = (directory / name for name in ("a.txt", "b.jsonl", "c", "d.gz"))
    plain.write_text("\n\n".join(texts[:30]))
    lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[20:60]))
    wiki.write_text("".join(f"<doc id=1>\nTitle\n\n{text}\n</doc>\n" for text in texts[10:40]))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    small = [directory / f"small{i}.txt" for i in range(4)]
    for path, text in zip(small, ["the cat", "", "\n\n", "the \udcff dog\n\n\x00"], strict=True):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    twice = [small[0], small[0]]
    return [str(path) for path in (plain, *small, lines, wiki, *twice, packed)]


@pytest.fixture(scope="module")
def whole(inputs, tokenizer, tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "corpus"
    prepare_corpus(inputs, tokenizer, directory, **SMALL)
    return directory


def prepare_parts(inputs, tokenizer, directory, count, **options):
    """Prepares all parts of a corpus; returns their directories."""
    made = []
    for number in range(1, count + 1):
        made.append(directory / f"{number}-of-{count}")
        options = {**SMALL, **options}
        prepare_corpus(inputs, tokenizer, made[-1], part=Part(number, count), **options)
    return made


@pytest.fixture(scope="module")
def three(inputs, tokenizer, tmp_path_factory):
    return prepare_parts(inputs, tokenizer, tmp_path_factory.mktemp("three"), 3)


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_parts_gives_the_same_bytes(inputs, whole, tokenizer, tmp_path, count):
    parts = prepare_parts(inputs, tokenizer, tmp_path, count)
    random.Random(count).shuffle(parts)
    manifest = join_corpora(parts, tmp_path / "joined")
    assert contents(tmp_path / "joined") == contents(whole)
    assert manifest == files.read_json(whole / "manifest.json")
    assert manifest["inputs"] == inputs
    assert manifest["invalid_utf8_lines"] == 1


def test_units_change_only_the_shards(inputs, whole, tokenizer, tmp_path):
    prepare_corpus(inputs, tokenizer, tmp_path / "c")
    one, many = Corpus(tmp_path / "c"), Corpus(whole)
    assert len(one.manifest["shards"]) == 1
    assert len(many.manifest["shards"]) > 20
    assert list(many) == list(one)
    np.testing.assert_array_equal(many.sentences, one.sentences)
    np.testing.assert_array_equal(many.documents, one.documents)


def test_a_small_corpus_has_the_bytes_that_it_always_had(corpus_dir):
    found = {name: files.sha256(corpus_dir / name)[:16] for name in HASHES}
    assert found == HASHES


# Of `corpus_dir` before there were units: sha256sum.
HASHES = {
    "tokens-00000.bin": "a97bb0d41c713a9a",
    "sentences.bin": "213328ed23c64c5a",
    "documents.bin": "026975d231bb65ac",
}


def test_a_part_is_a_corpus(three, whole, tokenizer):
    documents = [document for part in three for document in Corpus(part)]
    assert documents == list(Corpus(whole))
    manifest = Corpus(three[1]).manifest
    assert (manifest["part"]["number"], manifest["part"]["of"]) == (2, 3)


def test_shards_are_linked_and_parts_stay(three, tmp_path):
    before = [contents(part) for part in three]
    join_corpora(three, tmp_path / "joined")
    assert os.path.samefile(three[0] / "tokens-00000.bin", tmp_path / "joined/tokens-00000.bin")
    last = sorted(three[2].glob("tokens-*"))[-1]
    assert os.path.samefile(last, sorted((tmp_path / "joined").glob("tokens-*"))[-1])
    assert [contents(part) for part in three] == before


def test_shards_are_copied_where_they_can_not_be_linked(
    three, whole, tmp_path, monkeypatch, caplog
):
    def link(source, target):
        raise OSError(errno.EXDEV, "other file system")

    monkeypatch.setattr(joining.os, "link", link)
    join_corpora(three, tmp_path / "joined")
    assert contents(tmp_path / "joined") == contents(whole)
    (record,) = caplog.records
    assert "so shards are copied" in record.getMessage()


def test_a_part_that_is_made_again(inputs, three, whole, tokenizer, tmp_path):
    parts = [tmp_path / "1", three[1], three[2]]
    part = {"part": Part(1, 3), **SMALL}

    def stop(sentences):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_corpus(inputs, tokenizer, parts[0], progress=stop, **part)
    with pytest.raises(InputError, match="/1: no such corpus directory"):
        join_corpora(parts, tmp_path / "joined")
    prepare_corpus(inputs, tokenizer, parts[0], **part)
    join_corpora(parts, tmp_path / "joined")
    assert contents(tmp_path / "joined") == contents(whole)


def test_a_part_without_text(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text("the cat\n\nthe dog\n")
    inputs = [str(tmp_path / "a.txt")]
    parts = prepare_parts(inputs, tokenizer, tmp_path, 3, bytes_per_unit=9)
    assert [files.read_json(part / "manifest.json")["documents"] for part in parts] == [1, 0, 1]
    with pytest.raises(InputError, match="2-of-3: this part of a corpus has no text"):
        Corpus(parts[1])
    join_corpora(parts, tmp_path / "joined")
    assert Corpus(tmp_path / "joined").num_documents == 2


def test_parts_without_any_text(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text("\n\n")
    parts = prepare_parts([str(tmp_path / "a.txt")], tokenizer, tmp_path, 2)
    with pytest.raises(InputError, match="have no text"):
        join_corpora(parts, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_parts_that_are_not_all_there(three, tmp_path):
    with pytest.raises(InputError, match=r"of 3 parts, these are missing: 2$"):
        join_corpora([three[0], three[2]], tmp_path / "joined")
    with pytest.raises(InputError, match=r"2-of-3 and .*copy are both part 2 of 3"):
        join_corpora([*three, shutil.copytree(three[1], tmp_path / "copy")], tmp_path / "joined")
    with pytest.raises(InputError, match="no part is given"):
        join_corpora([], tmp_path / "joined")


def test_parts_of_different_corpora(inputs, three, vocabulary, tokenizer, whole, tmp_path):
    def joined_with(directory, **options):
        given = {"inputs": inputs, "tokenizer": tokenizer, "part": Part(2, 3), **SMALL, **options}
        prepare_corpus(output=directory, **given)
        join_corpora([three[0], directory, three[2]], tmp_path / "joined")

    cased = WordPieceTokenizer(vocabulary, lowercase=False)
    with pytest.raises(
        InputError, match=r"/a and .*1-of-3 were prepared with different tokenizers"
    ):
        joined_with(tmp_path / "a", tokenizer=cased)
    with pytest.raises(InputError, match=r"/b and .* settings: tokens_per_shard is 200 and 100"):
        joined_with(tmp_path / "b", tokens_per_shard=200)
    with pytest.raises(InputError, match=r"/c and .* from different inputs"):
        joined_with(tmp_path / "c", inputs=inputs[:-1])
    with pytest.raises(InputError, match=r"/d and .* are of corpora in 4 and 3 parts"):
        joined_with(tmp_path / "d", part=Part(2, 4))
    with pytest.raises(InputError, match="corpus: is a whole corpus, not a part"):
        join_corpora([*three, whole], tmp_path / "joined")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"number": 4}, "can't be part 4 of 3"),
        ({"number": 0}, "can't be part 0 of 3"),
        ({"of": 10**9}, r"of 1,000,000,000 parts, .* 1, 3, .*, 11 and 999,999,989 more"),
    ],
)
def test_parts_that_can_not_be(three, tmp_path, place, message):
    part = shutil.copytree(three[1], tmp_path / "2")
    manifest = files.read_json(part / "manifest.json")
    manifest["part"] |= place
    manifest["sha256"] = files.own_sha256(manifest)
    files.write_json(part / "manifest.json", manifest)
    with pytest.raises(InputError, match=message):
        join_corpora([part], tmp_path / "joined")


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


@pytest.mark.parametrize("name", ["tokens-00000.bin", "sentences.bin", "documents.bin"])
@pytest.mark.parametrize(
    ("damage", "verify", "message"),
    [
        (flip_a_bit, True, r"is damaged \(its SHA-256 differs\); prepare this part again"),
        (cut, False, r"is damaged \(its size differs\); prepare this part again"),
        (os.remove, False, "is missing; prepare this part again"),
    ],
)
def test_a_damaged_part(three, tmp_path, name, damage, verify, message):
    broken = shutil.copytree(three[1], tmp_path / "broken")
    damage(broken / name)
    with pytest.raises(InputError, match=f"broken/{name}: {message}"):
        join_corpora([three[0], broken, three[2]], tmp_path / "joined", verify=verify)
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_too_many_shards_are_refused(three, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "MOST_SHARDS", 20)
    with pytest.raises(InputError, match="20 shards; this text needs larger ones"):
        join_corpora(three, tmp_path / "joined")


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "1/0", "-1/3", "1/3/3", "１/３", "1/ 3"])
def test_what_is_no_part(text):
    with pytest.raises(InputError, match=r"a part must be given as 1/7, .* found"):
        Part.parse(text)


@pytest.mark.parametrize(("number", "of"), [(0, 100), (101, 100), (1, 0)])
def test_numbers_that_no_part_has(number, of):
    with pytest.raises(InputError, match=f"there can't be a part {number} of {of}"):
        Part(number, of=of)


def write(directory, **sizes):
    for name, size in sizes.items():
        (directory / name).write_bytes(b"x" * size)
    return [str(directory / name) for name in sizes]


def test_units(tmp_path):
    paths = write(tmp_path, a=10, b=20, c=250, d=0, e=30, f=80, g=90)
    units = plan_units([*paths, "tfds:imdb_reviews"], 100)
    shown = [[(p.source[-1], p.start, p.end) for p in unit] for unit in units]
    assert shown == [
        [("a", 0, 10), ("b", 0, 20)],
        [("c", 0, 83)],
        [("c", 83, 166)],
        [("c", 166, 250), ("d", 0, 0)],
        [("e", 0, 30)],
        [("f", 0, 80)],
        [("g", 0, 90)],
        [("s", 0, None)],
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100])
def test_every_unit_is_in_one_part(tmp_path, count):
    paths = write(tmp_path, **{f"f{i}": 10 + 37 * i % 90 for i in range(30)})
    units = plan_units([*paths, *write(tmp_path, empty=0)], 50)
    shares = [share(units, Part(number, count)) for number in range(1, count + 1)]
    assert [unit for one in shares for unit in one] == units
    if count <= 3:
        sizes = [sum(piece.size for unit in one for piece in unit) for one in shares]
        assert max(sizes) - min(sizes) <= 2 * 50
