"""Questions on documents in the format of SQuAD: its JSON, and the official files of predictions.

SQuAD 1.1, SQuAD 2.0 and XQuAD have it, and test sets without answers. Hugging Face's `datasets` has
the same questions flat, a row each with its `context`: JSON lines, a list, or a list under `data`.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence

from kerasbert import files, schema
from kerasbert.data import json_lines
from kerasbert.data.examples import Examples
from kerasbert.data.skipped import SkippedExamples
from kerasbert.errors import InputError
from kerasbert.features import CONTEXT, QUESTION


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionExamples(Examples):
    """Questions on documents.

    `texts` are the columns `question` and `context`; `labels` are dicts of all right answers as
    `text` and `answer_start` (in characters), lists of the same length, empty if the context has no
    answer; an answer that the context does not have comes last, with an `answer_start` of -1.
    `lines` are the questions' numbers in the file, from 1.

    Attributes:
        ids: what the file calls each question.
    """

    ids: list[str]


def read_squad(
    path: str | os.PathLike, *, strict: bool = False, with_answers: bool = True
) -> QuestionExamples:
    """Reads a file in the format of SQuAD.

    Left out, and counted in `problems` by the question's id, is a question that is empty or has an
    empty context, that has the id of an earlier one, or answers none of which the context has. An
    answer that is not where `answer_start` says, but in exactly one other place, is taken to be
    there; this is counted too, and so is a question some of whose answers the context does not
    have: what is learnt is another one, but they are right in scores. `is_impossible` and
    `plausible_answers` are not looked at: as in the official scripts, a question without answers
    is one that can't be answered.

    Args:
        path: the JSON file, `.json` or `.jsonl`, or that and `.gz`.
        strict: raise at the first question that would be counted.
        with_answers: False reads questions only, whatever `answers` says, and all of them, to be
            answered; `labels` is empty.

    Raises:
        InputError: the file is missing, no JSON or not in this format (naming the place); no
            question is left.
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


def _questions(path: str | os.PathLike) -> Iterator[tuple[str, str, dict]]:
    """The place, the context and the record of each question of the file."""
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
    """The place of every article or flat question, and what is there."""
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
    """Whether the first line is a flat question: JSON lines, whatever the file is called."""
    try:
        first = schema.parse(lines[0][1], path) if lines else None
    except InputError:
        return False
    return isinstance(first, dict) and "context" in first


def _field(location: str, record, key: str, kind: type):
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        wanted = {list: "a list", str: "a string", int: "a number"}[kind]
        raise InputError(f"{location} must have {wanted} under {key!r}, as SQuAD's files do")
    return json_lines.without_surrogates(value) if kind is str else value


def _what_is_wrong(question: str, context: str, repeated: bool) -> str | None:
    if not question.strip():
        return "empty question"
    if not context.strip():
        return "empty context"
    return "id that an earlier question has" if repeated else None


def _id(location: str, record: dict) -> str:
    """A question's id; numbers are as good as strings, which is what predictions have."""
    id = record.get("id") if isinstance(record, dict) else None
    return str(id) if type(id) is int else _field(location, record, "id", str)


def _answers(location: str, record: dict) -> list[tuple[str, int]]:
    """The text and the place of each answer: a list of dicts or, flat, a dict of lists."""
    answers = record.get("answers")
    if isinstance(answers, dict):
        columns = [
            _field(f"{location}.answers", answers, key, list) for key in ("text", "answer_start")
        ]
        if len(columns[0]) != len(columns[1]):
            raise InputError(f"{location}.answers must have as many answer_start as text")
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


_NOT_THERE = "answer that is not where its answer_start says"


def _placed(
    context: str, answers: Sequence[tuple[str, int]]
) -> tuple[dict, str | None, str | None]:
    """The answers where they are; what is wrong with the question; what is mended of it."""
    rows, others, corrected = [], [], None
    for text, start in answers:
        if not text.strip():
            corrected = "empty answer"
        elif start >= 0 and context.startswith(text, start):
            rows.append((text, start))
        elif context.count(text) == 1:
            rows.append((text, context.index(text)))
            corrected = "answer elsewhere than its answer_start says"
        else:
            others.append((text, -1))
    if answers and not rows:
        return {}, _NOT_THERE if others else corrected, None
    if others:
        corrected = f"{_NOT_THERE}, beside others"
    texts, starts = zip(*rows, *others, strict=True) if rows else ((), ())
    return {"text": list(texts), "answer_start": list(starts)}, None, corrected


def write_predictions(path: str | os.PathLike, ids: Sequence[str], values: Sequence) -> None:
    """Writes what the official scripts read: answers by id, or no-answer probabilities by id.

    Args:
        path: the JSON file, written whole or not at all.
        ids: the questions' ids.
        values: a string or a number for each.
    """
    files.write_json(path, dict(zip(ids, values, strict=True)))


def read_right_answers(path: str | os.PathLike) -> tuple[list[str], list[list[str]]]:
    """Reads what the official scripts compare predictions with.

    Nothing is left out: they look at neither contexts nor the places of answers.

    Args:
        path: a file in the format of SQuAD.

    Returns:
        The id of every question, and the texts of all its right answers, none if it has no answer.

    Raises:
        InputError: the file is missing, no JSON or not in this format (naming the place); it has no
            questions.
    """
    ids, right = [], []
    for location, _, record in _questions(path):
        ids.append(_id(location, record))
        right.append([text for text, _ in _answers(location, record)])
    if not ids:
        raise InputError(f"{path}: has no questions")
    return ids, right


def read_predictions(path: str | os.PathLike, ids: Sequence[str], kind: type = str) -> list:
    """Reads what `write_predictions` wrote, or anybody.

    Args:
        path: the JSON file.
        ids: the questions' ids; what the file says of others is not looked at.
        kind: `str` for answers, `float` for no-answer probabilities.

    Returns:
        A value for each of `ids`, None where the file has none.

    Raises:
        InputError: the file is missing or malformed, or has none of `ids`.
    """
    values = files.read_json(path)
    rows = {id: values[id] for id in ids if id in values}
    if not rows:
        raise InputError(f"{path}: has a prediction for none of the {len(ids)} questions")
    for id, value in rows.items():
        if not isinstance(value, str if kind is str else int | float):
            wanted = "a string" if kind is str else "a number"
            raise InputError(f"{path}: expected {wanted} under {id!r}, found {value!r}")
    return [kind(rows[id]) if id in rows else None for id in ids]
