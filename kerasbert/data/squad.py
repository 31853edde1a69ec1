"""Questions on documents in the format of SQuAD: its JSON, and the official files of predictions.

SQuAD 1.1, SQuAD 2.0 and XQuAD have it, and test sets without answers.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence

from kerasbert import features as keys
from kerasbert import files
from kerasbert.data import json_lines
from kerasbert.data.examples import Examples
from kerasbert.data.problems import Problems
from kerasbert.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionExamples(Examples):
    """Questions on documents.

    `texts` are the columns `question` and `context`; `labels` are dicts of all right answers as
    `text` and `answer_start` (in characters), lists of the same length, empty if the context has no
    answer; `lines` are the questions' numbers in the file, from 1.

    Attributes:
        ids: what the file calls each question.
    """

    ids: list[str]


def read_squad(
    path: str | os.PathLike, *, strict: bool = False, with_answers: bool = True
) -> QuestionExamples:
    """Reads a file in the format of SQuAD.

    Left out, and counted in `problems` by the question's id, is a question that is empty or has an
    empty context, that has the id of an earlier one, or an answer that the context does not have.
    An answer that is not where `answer_start` says, but in exactly one other place, is taken to be
    there; this is counted too. `is_impossible` and `plausible_answers` are not looked at: as in the
    official scripts, a question without answers is one that can't be answered.

    Args:
        path: the JSON file.
        strict: raise at the first question that would be counted.
        with_answers: False reads questions only, whatever `answers` says, and all of them, to be
            answered; `labels` is empty.

    Raises:
        InputError: the file is missing, no JSON or not in this format (naming the place); no
            question is left.
    """
    problems = Problems(path, strict=strict, unit="question")
    found, seen = [], set()
    for number, (place, context, record) in enumerate(_questions(path), start=1):
        question = _field(place, record, "question", str)
        id = _field(place, record, "id", str)
        wrong = _what_is_wrong(question, context, id in seen) if with_answers else None
        seen.add(id)
        if wrong is None and with_answers:
            answers, wrong, moved = _answers(place, context, record)
        if wrong:
            problems.note(id, wrong)
            continue
        if with_answers and moved:
            problems.note(id, "answer elsewhere than its answer_start says", mended=True)
        found.append((number, id, question, context, answers if with_answers else None))
    if not found:
        raise InputError(f"{path}: has no question that can be used")
    numbers, ids, questions, contexts, labels = map(list, zip(*found, strict=True))
    texts = {keys.QUESTION: questions, keys.CONTEXT: contexts}
    return QuestionExamples(
        texts, labels if with_answers else [], str(path), numbers, problems, ids=ids
    )


def _questions(path: str | os.PathLike) -> Iterator[tuple[str, str, dict]]:
    """The place, the context and the record of each question of the file."""
    articles = _field(str(path), files.read_json(path), "data", list)
    for i, article in enumerate(articles):
        paragraphs = _field(f"{path}: data[{i}]", article, "paragraphs", list)
        for j, paragraph in enumerate(paragraphs):
            place = f"{path}: data[{i}].paragraphs[{j}]"
            context = _field(place, paragraph, "context", str)
            for k, record in enumerate(_field(place, paragraph, "qas", list)):
                yield f"{place}.qas[{k}]", context, record


def _field(place: str, record, key: str, kind: type):
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        wanted = {list: "a list", str: "a string", int: "a number"}[kind]
        raise InputError(f"{place} must have {wanted} under {key!r}, as SQuAD's files do")
    return json_lines.without_surrogates(value) if kind is str else value


def _what_is_wrong(question: str, context: str, repeated: bool) -> str | None:
    if not question.strip():
        return "empty question"
    if not context.strip():
        return "empty context"
    return "id that an earlier question has" if repeated else None


def _answers(place: str, context: str, record: dict) -> tuple[dict, str | None, bool]:
    """All answers, what is wrong with them, and whether one was found elsewhere than was said."""
    texts, starts, moved = [], [], False
    for number, answer in enumerate(_field(place, record, "answers", list)):
        text = _field(f"{place}.answers[{number}]", answer, "text", str)
        start = _field(f"{place}.answers[{number}]", answer, "answer_start", int)
        if not text.strip():
            return {}, "empty answer", False
        if start < 0 or not context.startswith(text, start):
            if context.count(text) != 1:
                return {}, "answer that is not where its answer_start says", False
            start, moved = context.index(text), True
        texts.append(text)
        starts.append(start)
    return {"text": texts, "answer_start": starts}, None, moved


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
    for place, _, record in _questions(path):
        answers = enumerate(_field(place, record, "answers", list))
        ids.append(_field(place, record, "id", str))
        right.append([_field(f"{place}.answers[{i}]", one, "text", str) for i, one in answers])
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
    found = {id: values[id] for id in ids if id in values}
    if not found:
        raise InputError(f"{path}: has a prediction for none of the {len(ids)} questions")
    for id, value in found.items():
        if not isinstance(value, str if kind is str else int | float):
            wanted = "a string" if kind is str else "a number"
            raise InputError(f"{path}: expected {wanted} under {id!r}, found {value!r}")
    return [kind(found[id]) if id in found else None for id in ids]
