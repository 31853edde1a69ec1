import gzip
import json

import pytest

from kerasbert import InputError
from kerasbert.data.squad import (
    read_predictions,
    read_right_answers,
    read_squad,
    write_predictions,
)


def question(id, *answers, text="who?", **others):
    answers = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": id, "question": text, "answers": answers, **others}


def write(path, *paragraphs):
    paragraphs = [{"context": context, "qas": list(qas)} for context, *qas in paragraphs]
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "squad.json"


def test_read(file):
    write(
        file,
        ("a cat, a dog", question("1", ("cat", 2), ("a cat", 0)), question("2", text="why?")),
        ("国 🐶", question("3", ("🐶", 2), is_impossible=False)),
    )
    examples = read_squad(file)
    assert examples.texts == {
        "question": ["who?", "why?", "who?"],
        "context": ["a cat, a dog", "a cat, a dog", "国 🐶"],
    }
    assert examples.labels == [
        {"text": ["cat", "a cat"], "answer_start": [2, 0]},
        {"text": [], "answer_start": []},
        {"text": ["🐶"], "answer_start": [2]},
    ]
    assert (examples.ids, examples.lines, len(examples)) == (["1", "2", "3"], [1, 2, 3], 3)
    assert examples.problems.lines == examples.problems.corrected == {}


def test_problems(file):
    write(
        file,
        (
            "a cat and a dog",
            question("good", ("cat", 2)),
            question("blank", text=" "),
            question("good", ("dog", 12)),
            question("moved", ("dog", 3)),
            question("twice", ("a", 1)),
            question("nowhere", ("bird", 0)),
            question("nothing", ("", 0)),
        ),
        (" ", question("no context")),
    )
    examples = read_squad(file)
    assert examples.ids == ["good", "moved"]
    assert examples.lines == [1, 4]
    assert examples.labels[1] == {"text": ["dog"], "answer_start": [12]}
    said = []
    examples.problems.report(said.append)
    assert [line.removeprefix(f"{file}: ") for line in said] == [
        "1 skipped: empty question (question blank)",
        "1 skipped: id of an earlier question (question good)",
        "2 skipped: answer that is not at its answer_start (question twice, nowhere)",
        "1 skipped: empty answer (question nothing)",
        "1 skipped: empty context (question no context)",
        "1 corrected: answer at another position than its answer_start (question moved)",
    ]
    with pytest.raises(InputError, match="json: question blank: empty question"):
        read_squad(file, strict=True)


def test_some_answers_are_wrong(file):
    text = "a cat and a dog"
    write(
        file,
        (
            text,
            question("second", ("bird", 2), ("dog", 12)),
            question("empty", ("", 0), ("cat", 2)),
            question("both", ("bird", 2), ("dog", 3)),
        ),
    )
    examples = read_squad(file)
    assert examples.labels == [
        {"text": ["dog", "bird"], "answer_start": [12, -1]},
        {"text": ["cat"], "answer_start": [2]},
        {"text": ["dog", "bird"], "answer_start": [12, -1]},
    ]
    assert examples.problems.lines == {}
    beside = "answer that is not at its answer_start, among others"
    assert examples.problems.corrected == {beside: ["second", "both"], "empty answer": ["empty"]}
    with pytest.raises(InputError, match=r"question second: answer that is not .* among others"):
        read_squad(file, strict=True)
    assert read_right_answers(file)[1][0] == ["bird", "dog"]


def test_ids_that_are_numbers(file):
    write(file, ("a cat", question(7, ("cat", 2)), question("7")))
    examples = read_squad(file)
    assert examples.ids == ["7"]
    assert examples.problems.lines == {"id of an earlier question": ["7"]}
    assert read_right_answers(file)[0] == ["7", "7"]
    write(file, ("a cat", question(True, ("cat", 2))))
    with pytest.raises(InputError, match="must have a string under 'id'"):
        read_squad(file)


FLAT = [
    {"id": 1, "context": "a cat", "question": "who?", "title": "t"}
    | {"answers": {"text": ["cat", "a cat"], "answer_start": [2, 0]}},
    {
        "id": "2",
        "context": "a\u2028dog",
        "question": "why?",
        "answers": {"text": [], "answer_start": []},
    },
    {
        "id": "3",
        "context": "a dog",
        "question": "what?",
        "answers": [{"text": "dog", "answer_start": 2}],
    },
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.json", "\n".join(json.dumps(row, ensure_ascii=False) for row in FLAT)),
        ("one.jsonl", json.dumps(FLAT[0])),
        ("one.json", json.dumps(FLAT[0])),
        ("rows.jsonl.gz", "\n\n".join(map(json.dumps, FLAT)) + "\n"),
        ("list.json", json.dumps(FLAT, indent=2)),
        ("data.json", json.dumps({"version": "2", "data": FLAT})),
    ],
)
def test_flat_questions(tmp_path, name, content):
    data = ("\ufeff" + content).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    examples = read_squad(path, strict=True)
    count = 1 if name.startswith("one") else 3
    assert examples.ids == ["1", "2", "3"][:count]
    assert examples.texts["context"] == ["a cat", "a\u2028dog", "a dog"][:count]
    assert (
        examples.labels
        == [
            {"text": ["cat", "a cat"], "answer_start": [2, 0]},
            {"text": [], "answer_start": []},
            {"text": ["dog"], "answer_start": [2]},
        ][:count]
    )
    assert read_right_answers(path)[1] == [["cat", "a cat"], [], ["dog"]][:count]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "b"}, r"json:2: must have a string under 'id'"),
        ({"answers": {"text": ["a"]}}, r"json:2:.answers must have a list under 'answer_start'"),
        ({"answers": {"text": ["a"], "answer_start": []}}, r"must have one answer_start for each"),
        ({"answers": {"text": [1], "answer_start": [0]}}, r"answers\[0\] must have a string under"),
    ],
)
def test_bad_flat_questions(tmp_path, row, message):
    row = (
        {"context": "a", "question": "b", "answers": []}
        | ({"id": "c"} if "answers" in row else {})
        | row
    )
    path = tmp_path / "rows.json"
    path.write_text("\n".join(map(json.dumps, [FLAT[0], row])))
    with pytest.raises(InputError, match=message):
        read_squad(path)


def test_without_answers(file):
    write(file, ("a cat", {"id": "1", "question": "who?"}, question("2", ("bird", 7))))
    examples = read_squad(file, with_answers=False)
    assert (examples.labels, examples.ids) == ([], ["1", "2"])
    with pytest.raises(InputError, match=r"qas\[0\] must have a list under 'answers'"):
        read_squad(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "has no question that can be used"),
        ("3", "json must have a list under 'data'"),
        ("{}", "json must have a list under 'data'"),
        ('{"data": [1]}', r"data\[0\] must have a list under 'paragraphs'"),
        (
            '{"data": [{"paragraphs": [{"qas": []}]}]}',
            r"data\[0\].paragraphs\[0\] must have a string under 'context'",
        ),
        (
            '{"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "b"}]}]}]}',
            r"paragraphs\[0\].qas\[0\] must have a string under 'id'",
        ),
        (
            '{"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "b", "id": "c", '
            '"answers": [{"text": "a"}]}]}]}]}',
            r"qas\[0\].answers\[0\] must have a number under 'answer_start'",
        ),
        ('{"data": []}', "has no question that can be used"),
    ],
)
def test_bad_files(file, content, message):
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        read_squad(file)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="can't be read: No such file"):
        read_squad(tmp_path / "squad.json")


def test_halves_of_surrogate_pairs(file):
    write(file, ("a \ud800 cat", question("1", ("cat", 4))))
    assert read_squad(file).texts["context"] == ["a \ufffd cat"]


@pytest.mark.parametrize(
    ("parts", "questions", "unanswerable"),
    [
        (("squad2-dev-split-elgeish", "dev-v2.0.json"), 6078, 3168),
        (("xquad", "xquad.en.json"), 1190, 0),
        (("xquad", "xquad.zh.json"), 1190, 0),
    ],
)
def test_real_files(shared, parts, questions, unanswerable):
    examples = read_squad(shared("tasks", *parts), strict=True)
    assert len(examples) == questions
    assert sum(not label["text"] for label in examples.labels) == unanswerable


def test_right_answers_are_all_there_are(file):
    """The official scripts look at no place and no context, and leave no question out."""
    write(
        file,
        (" ", question("blank", ("cat", 7)), question("blank")),
        ("a", question("more", ("x", 0), ("", 0))),
    )
    assert read_right_answers(file) == (["blank", "blank", "more"], [["cat"], [], ["x", ""]])
    write(file)
    with pytest.raises(InputError, match="has no questions"):
        read_right_answers(file)


def test_predictions(tmp_path):
    path = tmp_path / "predictions.json"
    write_predictions(path, ["1", "2"], ["中国", ""])
    assert json.loads(path.read_text(encoding="utf-8")) == {"1": "中国", "2": ""}
    assert read_predictions(path, ["2", "1"]) == ["", "中国"]
    write_predictions(path, ["1", "2"], [0.25, 1])
    assert read_predictions(path, ["1", "2"], float) == [0.25, 1.0]
    assert read_predictions(path, ["1", "3"], float) == [0.25, None]
    with pytest.raises(InputError, match="has no prediction for any of the 2 questions"):
        read_predictions(path, ["3", "4"])
    with pytest.raises(InputError, match="expected a string under '1', found 0"):
        read_predictions(path, ["1"])
