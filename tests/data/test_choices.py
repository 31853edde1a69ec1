import json

import pytest

from kerasbert import InputError
from kerasbert.data.choices import read_choices

SWAG = {
    "sent1": "He sits.",
    "sent2": "Then he",
    "ending0": "eats.",
    "ending1": "flies.",
    "label": 1,
}
KINDS = {
    "plain": (
        {"text": "a", "choices": ["b", "c", "d"], "label": "c"},
        ("a", ["b", "c", "d"], 1),
    ),
    "swag": (SWAG, ("He sits.", ["Then he eats.", "Then he flies."], 1)),
    "startphrase": (
        {"startphrase": "He sits. Then he", "ending0": "eats.", "ending1": "flies.", "label": 0},
        ("He sits. Then he", ["eats.", "flies."], 0),
    ),
    "hellaswag": (
        {"ctx_a": "A man.", "ctx_b": "he", "ctx": "x", "endings": ["a", "b"], "label": "1"},
        ("A man.", ["he a", "he b"], 1),
    ),
    "hellaswag ctx": (
        {"ctx": "A man.", "endings": ["a", "b"], "label": 0},
        ("A man.", ["a", "b"], 0),
    ),
    "race": (
        {"article": "t", "question": "Who?", "options": ["me", "you"], "answer": "B"},
        ("t", ["Who? me", "Who? you"], 1),
    ),
    "race cloze": (
        {"article": "t", "question": "It is _ .", "options": ["me", "you"], "answer": "A"},
        ("t", ["It is me .", "It is you ."], 0),
    ),
}


def write(path, *rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(tmp_path, kind):
    row, (text, choices, label) = KINDS[kind]
    found = read_choices(write(tmp_path / "file.jsonl", row))
    assert found.texts == {"text": [text], "choices": [choices]}
    assert found.labels == [label]


def test_table(tmp_path):
    path = tmp_path / "swag.csv"
    path.write_text(",".join(SWAG) + "\n" + ",".join(map(str, SWAG.values())) + "\n")
    assert read_choices(path).labels == [1]


@pytest.mark.parametrize("label", [" b", "b ", "1", " 1", 1, 1.0])
def test_ways_to_write_a_label(tmp_path, label):
    row = {"text": "t", "choices": ["a", "b"], "label": label}
    assert read_choices(write(tmp_path / "file.jsonl", row)).labels == [1]


def test_what_is_left_out(tmp_path):
    good = {"text": "a", "choices": ["b", "c"], "label": 0}
    bad = [
        good | {"label": 2},
        good | {"label": None},
        good | {"label": True},
        good | {"label": float("nan")},
        good | {"text": " "},
        good | {"choices": ["b"]},
        good | {"choices": ["b", ""]},
        good | {"choices": "bc"},
        {"text": "a"},
    ]
    path = write(tmp_path / "file.jsonl", good, *bad)
    found = read_choices(path)
    assert found.lines == [1]
    left_out = sorted(line for lines in found.problems.lines.values() for line in lines)
    assert left_out == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    with pytest.raises(InputError, match=r"file\.jsonl:2: label is not one of the choices"):
        read_choices(path, strict=True)
    with pytest.raises(InputError, match="no example is left: label is not one of the choices"):
        read_choices(write(path, bad[0]))


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("plain", {"text": None}, "text is not a text or number"),
        ("plain", {"text": ["a"]}, "text is not a text or number"),
        ("plain", {"choices": ["b", None]}, "one of choices is not a text or number"),
        ("swag", {"sent1": None}, "sent1 is not a text or number"),
        ("swag", {"sent2": None}, "sent2 is not a text or number"),
        ("swag", {"ending0": None}, "ending0 is not a text or number"),
        ("startphrase", {"startphrase": {}}, "startphrase is not a text or number"),
        ("hellaswag", {"ctx_b": None}, "ctx_b is not a text or number"),
        ("hellaswag", {"ctx_a": None}, "ctx_a is not a text or number"),
        ("hellaswag ctx", {"ctx": float("nan")}, "ctx is not a text or number"),
        ("race", {"article": None}, "article is not a text or number"),
        ("race", {"question": None}, "question is not a text or number"),
        ("race", {"question": ["Who?"]}, "question is not a text or number"),
        ("race", {"options": ["me", ["you"]]}, "one of options is not a text or number"),
    ],
)
def test_values_that_are_no_texts(tmp_path, kind, change, reason):
    row, _ = KINDS[kind]
    path = write(tmp_path / "file.jsonl", row, row | change)
    found = read_choices(path)
    assert (found.lines, found.problems.lines) == ([1], {reason: [2]})
    with pytest.raises(InputError, match=rf"file\.jsonl:2: {reason}"):
        read_choices(path, strict=True)


def test_numbers_are_texts(tmp_path):
    rows = [
        {"text": 7, "choices": [1, 2.5], "label": 1},
        {"article": 7, "question": 8, "options": [1, 2], "answer": "B"},
        SWAG | {"sent1": 7, "sent2": 8, "ending0": 1, "ending1": 2},
        {"ctx_a": 7, "ctx_b": "", "endings": [1, 2], "label": 0},
    ]
    expected = [["1", "2.5"], ["8 1", "8 2"], ["8 1", "8 2"], ["1", "2"]]
    for row, choices in zip(rows, expected, strict=True):
        found = read_choices(write(tmp_path / "file.jsonl", row))
        assert found.texts == {"text": ["7"], "choices": [choices]}


def test_other_columns(tmp_path):
    path = write(tmp_path / "file.jsonl", {"question": "a", "label": 0})
    with pytest.raises(
        InputError, match="has the columns question, label; expected one of: text, choi"
    ):
        read_choices(path)
