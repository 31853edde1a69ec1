"""Question answering data in the format of SQuAD, and the official prediction files.

The format of SQuAD 1.1, SQuAD 2.0, XQuAD and test sets without answers is supported, and the flat
format of Hugging Face's `datasets`, with one row per question and its `context`: JSON lines, a
list, or a list under `data`.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from kerasbert import files, schema
from kerasbert.data import json_lines
from kerasbert.data.examples import Examples
from kerasbert.data.skipped import SkippedExamples
from kerasbert.errors import InputError
from kerasbert.features import CONTEXT, QUESTION


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionExamples(Examples):
    """Questions about contexts.

    `texts` has the columns `question` and `context`. `labels` are dicts of all right answers, with
    lists `text` and `answer_start` (in characters) of the same length, empty if there is no answer.
    Answers that the context does not contain come last, with an `answer_start` of -1. `lines` are
    the numbers of the questions in the file, from 1.

    Attributes:
        ids: list of strings, the id of each question in the file.
    """

    ids: list[str]


def read_squad(
    path: str | os.PathLike[str], *, strict: bool = False, with_answers: bool = True
) -> QuestionExamples:
    """Reads a file in the format of SQuAD.

    A question is skipped, and counted in `problems` by its id, if it or its context is empty, if an
    earlier question has the same id, or if the context contains none of its answers. An answer that
    is not at its `answer_start`, but occurs exactly once in the context, is corrected and counted.
    A question is also counted if the context contains only some of its answers: training uses one
    of these, scoring uses all. `is_impossible` and `plausible_answers` are ignored: as in the
    official scripts, a question without answers is unanswerable.

    Args:
        path: `.json` or `.jsonl` file, optionally with `.gz`.
        strict: whether to raise an error at the first question that would be counted.
        with_answers: whether to read answers. If False, all questions are read for prediction, and
            `labels` is empty.

    Returns:
        `QuestionExamples`.

    Raises:
        InputError: the file is missing, is not JSON or not in this format (the message names the
            location), or no question is left.

    Examples:
        One question a line, as in Hugging Face's `datasets`; files of SQuAD are read the same way.

        >>> import json
        >>> import pathlib
        >>> import kerasbert
        >>> question = {
        ...     "id": "1",
        ...     "question": "Who lives in Oslo?",
        ...     "context": "Ada lives in Oslo.",
        ...     "answers": {"text": ["Ada"], "answer_start": [0]},
        ... }
        >>> size = pathlib.Path("train.jsonl").write_text(json.dumps(question))
        >>> examples = kerasbert.data.read_squad("train.jsonl")
        >>> examples.texts["question"], examples.labels
        (['Who lives in Oslo?'], [{'text': ['Ada'], 'answer_start': [0]}])
    """
    problems = SkippedExamples(path, strict=strict, unit="question")
    rows, seen = [], set()
    for number, (location, context, record) in enumerate(_questions(path), start=1):
        question = _field(location, record, "question", str)
        id = _id(location, record)
        wrong = _what_is_wrong(question, context, id in seen) if with_answers else None
        seen.add(id)
        if wrong is None and with_answers:
            answers, wrong, corrected = _placed(context, _answers(location, record))
        if wrong:
            problems.note(id, wrong)
            continue
        if with_answers and corrected:
            problems.note(id, corrected, corrected=True)
        rows.append((number, id, question, context, answers if with_answers else None))
    if not rows:
        raise InputError(f"{path}: has no question that can be used")
    numbers, ids, questions, contexts, labels = map(list, zip(*rows, strict=True))
    texts = {QUESTION: questions, CONTEXT: contexts}
    return QuestionExamples(
        texts, labels if with_answers else [], str(path), numbers, problems, ids=ids
    )


def _questions(path: str | os.PathLike) -> Iterator[tuple[str, str, Any]]:
    """Iterates over the location, the context and the record of each question."""
    for location, item in _items(path):
        if isinstance(item, dict) and "paragraphs" not in item and "context" in item:
            yield location, _field(location, item, "context", str), item
            continue
        for j, paragraph in enumerate(_field(location, item, "paragraphs", list)):
            of = f"{location}.paragraphs[{j}]"
            context = _field(of, paragraph, "context", str)
            for k, record in enumerate(_field(of, paragraph, "qas", list)):
                yield f"{of}.qas[{k}]", context, record


def _items(path: str | os.PathLike) -> list[tuple[str, object]]:
    """Returns the location and the value of every article or flat question."""
    with files.open_text(path) as file:
        content = file.read()
    lines = [(number, line) for number, line in enumerate(content.split("\n"), 1) if line.strip()]
    if files.ending(path) == ".jsonl" or _are_objects(path, lines):
        parsed = ((number, json_lines.parse(path, number, line)) for number, line in lines)
        return [(f"{path}:{number}:", record) for number, record in parsed]
    value = schema.parse(content, path)
    if isinstance(value, list):
        return [(f"{path}: [{i}]", item) for i, item in enumerate(value)]
    items = _field(str(path), value, "data", list)
    return [(f"{path}: data[{i}]", item) for i, item in enumerate(items)]


def _are_objects(path: str | os.PathLike, lines: Sequence[tuple[int, str]]) -> bool:
    """Returns whether the first line is a flat question: JSON lines with any file name."""
    try:
        first = schema.parse(lines[0][1], path) if lines else None
    except InputError:
        return False
    return isinstance(first, dict) and "context" in first


def _field(location: str, record, key: str, kind: type) -> Any:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        wanted = {list: "a list", str: "a string", int: "a number"}[kind]
        raise InputError(f"{location} must have {wanted} under {key!r}, as in SQuAD")
    return json_lines.without_surrogates(value) if isinstance(value, str) else value


def _what_is_wrong(question: str, context: str, repeated: bool) -> str | None:
    if not question.strip():
        return "empty question"
    if not context.strip():
        return "empty context"
    return "id of an earlier question" if repeated else None


def _id(location: str, record: dict) -> str:
    """Returns a question's id as a string; integers are accepted."""
    id = record.get("id") if isinstance(record, dict) else None
    return str(id) if type(id) is int else _field(location, record, "id", str)


def _answers(location: str, record: dict) -> list[tuple[str, int]]:
    """Returns text and start of each answer, from a list of dicts or a flat dict of lists."""
    answers = record.get("answers")
    if isinstance(answers, dict):
        columns = [
            _field(f"{location}.answers", answers, key, list) for key in ("text", "answer_start")
        ]
        if len(columns[0]) != len(columns[1]):
            raise InputError(f"{location}.answers must have one answer_start for each text")
        answers = [
            {"text": text, "answer_start": start} for text, start in zip(*columns, strict=True)
        ]
    else:
        answers = _field(location, record, "answers", list)
    positions = [f"{location}.answers[{number}]" for number in range(len(answers))]
    return [
        (_field(at, answer, "text", str), _field(at, answer, "answer_start", int))
        for at, answer in zip(positions, answers, strict=True)
    ]


_NOT_THERE = "answer that is not at its answer_start"


def _placed(
    context: str, answers: Sequence[tuple[str, int]]
) -> tuple[dict, str | None, str | None]:
    """Returns the located answers, the reason to skip the question, and the correction made."""
    rows, others, corrected = [], [], None
    for text, start in answers:
        if not text.strip():
            corrected = "empty answer"
        elif start >= 0 and context.startswith(text, start):
            rows.append((text, start))
        elif context.count(text) == 1:
            rows.append((text, context.index(text)))
            corrected = "answer at another position than its answer_start"
        else:
            others.append((text, -1))
    if answers and not rows:
        return {}, _NOT_THERE if others else corrected, None
    if others:
        corrected = f"{_NOT_THERE}, among others"
    texts, starts = zip(*rows, *others, strict=True) if rows else ((), ())
    return {"text": list(texts), "answer_start": list(starts)}, None, corrected


def write_predictions(
    path: str | os.PathLike[str], ids: Sequence[str], values: Sequence[Any]
) -> None:
    """Writes predictions for the official scripts: answers or no-answer probabilities by id.

    Args:
        path: path of the JSON file, which is written atomically.
        ids: list of strings, the ids of the questions.
        values: list with a string or a number for each question.
    """
    files.write_json(path, dict(zip(ids, values, strict=True)))


def read_right_answers(path: str | os.PathLike[str]) -> tuple[list[str], list[list[str]]]:
    """Reads the right answers to which the official scripts compare predictions.

    No question is skipped: contexts and the positions of answers are ignored.

    Args:
        path: path of a file in the format of SQuAD.

    Returns:
        List of the ids of all questions, and a list of the texts of the right answers of each,
        empty if it has no answer.

    Raises:
        InputError: the file is missing, is not JSON or not in this format (the message names the
            location), or has no questions.
    """
    ids, right = [], []
    for location, _, record in _questions(path):
        ids.append(_id(location, record))
        right.append([text for text, _ in _answers(location, record)])
    if not ids:
        raise InputError(f"{path}: has no questions")
    return ids, right


def read_predictions(
    path: str | os.PathLike[str], ids: Sequence[str], kind: type[Any] = str
) -> list[Any]:
    """Reads a file of predictions, as written by `write_predictions`.

    Args:
        path: path of the JSON file.
        ids: list of strings, the ids of the questions; other ids in the file are ignored.
        kind: `str` for answers, `float` for no-answer probabilities.

    Returns:
        List with a value for each of `ids`, None where the file has none.

    Raises:
        InputError: the file is missing or malformed, or has none of `ids`.
    """
    values = files.read_json(path)
    rows = {id: values[id] for id in ids if id in values}
    if not rows:
        raise InputError(f"{path}: has no prediction for any of the {len(ids)} questions")
    for id, value in rows.items():
        if not isinstance(value, str if kind is str else int | float):
            wanted = "a string" if kind is str else "a number"
            raise InputError(f"{path}: expected {wanted} under {id!r}, found {value!r}")
    return [kind(rows[id]) if id in rows else None for id in ids]
