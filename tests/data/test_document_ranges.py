import json
import logging
import random

import pytest

from kerasbert.data.corpus.documents import formats
from kerasbert.data.corpus.documents.lines import Lines, Report
from kerasbert.data.corpus.documents.reading import read_range, size_to_cut
from kerasbert.errors import InputError

LINES = [
    "One.",
    "two é中",
    "\u3000",
    " ",
    "",
    "x" * 300,
    "bad \ud800 byte",
    "\x1c",
    "{",
    "<doc",
    "-",
]


def text_of(kind: str, seed: int) -> bytes:
    """A file with documents of lines that are nearly the marks of a format, and invalid UTF-8."""
    chooser = random.Random(seed)
    end = chooser.choice(["\n", "\r\n"])
    documents = [[chooser.choice(LINES) for _ in range(chooser.randint(0, 5))] for _ in range(30)]
    if kind == "plain":
        text = "Begin." + end + f"{end}{end}".join(end.join(lines) for lines in documents)
    elif kind == "json":
        rows = (json.dumps({"text": "\n".join(lines)}, ensure_ascii=False) for lines in documents)
        text = end.join(f"{row}{end}" if chooser.random() < 0.2 else row for row in rows)
    else:
        text = "".join(
            f"<doc id={i}>{end}title{end}" + end.join(lines) + f"{end}</doc>{end}between{end}"
            for i, lines in enumerate(documents)
        )
    text = chooser.choice(["", "\ufeff"]) + text + chooser.choice(["", end])
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["plain", "json", "wiki"])
def test_ranges_have_every_document_once(tmp_path, kind, seed):
    path = tmp_path / "a"
    path.write_bytes(text_of(kind, seed))
    whole = Report(named_lines=0)
    documents = list(read_range(str(path), report=whole))
    assert whole.documents == len(documents) > 5
    assert whole.invalid_utf8 > 0
    size = size_to_cut(str(path))
    assert size == path.stat().st_size
    for step in (1, 7, 64, size - 1, size):
        parts = Report(named_lines=0)
        found = []
        for start in range(0, size, step):
            end = min(start + step, size)
            here = list(read_range(str(path), start, end, report=parts))
            assert all(start <= position < end for position, _ in here)
            found += here
        assert found == documents
        assert parts == whole


def test_places_are_those_of_the_first_bytes(tmp_path):
    (tmp_path / "a.txt").write_text("\n é \n\nsecond\nline\n \n\nthird")
    data = (tmp_path / "a.txt").read_bytes()
    positions = [position for position, _ in read_range(str(tmp_path / "a.txt"))]
    assert positions == [data.index(word) for word in (" é".encode(), b"second", b"third")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "a"}\n' * 50 + '{"txt": "a"}\n', "a:51: expected a string under 'text'"),
        ('{"text": "a"}\n' * 50 + "{\n", "a:51: not valid JSON"),
        ("<doc>\nT\na\n</doc>\n" * 50 + "<doc>\n" * 2, "a:202: <doc> inside the <doc> of line 201"),
    ],
)
def test_messages_of_a_range_have_the_lines_of_the_file(tmp_path, text, message):
    (tmp_path / "a").write_text(text)
    with pytest.raises(InputError, match=message):
        list(read_range(str(tmp_path / "a"), len(text) // 2))


def test_invalid_lines_of_a_range_are_named_by_the_lines_of_the_file(tmp_path, caplog):
    (tmp_path / "a").write_bytes(b"good\n\n" * 1000 + b"bad \xff\n")
    with caplog.at_level(logging.WARNING):
        list(read_range(str(tmp_path / "a"), 3000))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{tmp_path / 'a'}:2001: ")


def test_what_can_not_be_cut(tmp_path):
    assert size_to_cut("tfds:imdb_reviews") is None
    assert size_to_cut(str(tmp_path / "a.gz")) is None


def test_a_range_within_one_document_is_read_once(tmp_path):
    path = tmp_path / "one.txt"
    path.write_bytes(b"the cat\n" * 1000)
    lines = Lines(str(path), Report(), 800)
    rows = iter(lines)
    assert list(formats.plain(lines, rows, 800, 1600, "text")) == []
    assert next(rows)[1] < 1700
