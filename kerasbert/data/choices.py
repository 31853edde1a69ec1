"""Multiple-choice examples in the formats of SWAG, HellaSwag and RACE."""

import itertools
import os
import string

from kerasbert.data.examples import Examples
from kerasbert.data.labels import LeftOut, string_of
from kerasbert.data.skipped import SkippedExamples
from kerasbert.data.tables import read_table
from kerasbert.errors import InputError
from kerasbert.features import CHOICES, TEXT


def read_choices(path: str | os.PathLike[str], *, strict: bool = False) -> Examples:
    """Reads examples for `MultipleChoice`.

    The format is determined by the columns or keys:

    - `text`, `choices` (a list), `label`;
    - SWAG: `sent1`, `sent2`, `ending0` to `ending3`, `label`. Each choice is `sent2`, the start of
      the second sentence, followed by an ending, as in `run_swag.py` of transformers. With
      `startphrase` and without `sent1`, the text is `startphrase`;
    - HellaSwag: `ctx_a`, `ctx_b`, `endings`, `label`, likewise; or `ctx` alone;
    - RACE: `article`, `question`, `options`, `answer` (a letter). An option replaces `_` in the
      question, or follows the question.

    A label is the index of the right choice, from 0, or the choice itself. Texts and choices of
    JSON lines may be numbers.

    Args:
        path: `.tsv`, `.csv` or `.jsonl` file.
        strict: whether to raise an error at the first example that would be skipped: one with an
            empty text or choice, or one that is neither text nor number, with fewer than two
            choices, or with a label that is not one of them.

    Returns:
        `Examples` with `text` and `choices`; the labels are the indices of the right choices.

    Raises:
        InputError: the file can't be read or has other columns, or no example is left.

    Examples:
        >>> import json
        >>> import pathlib
        >>> import kerasbert
        >>> row = {"text": "It rains.", "choices": ["Take a hat.", "Swim."], "label": 0}
        >>> size = pathlib.Path("train.jsonl").write_text(json.dumps(row))
        >>> examples = kerasbert.data.read_choices("train.jsonl")
        >>> examples.texts["choices"], examples.labels
        ([['Take a hat.', 'Swim.']], [0])
    """
    problems = SkippedExamples(path, strict=strict)
    rows = read_table(path, problems=problems)
    read = _reader(path, rows[0][1])
    lines, texts, choices, labels = [], [], [], []
    for line, row in rows:
        try:
            text, own, label = read(row)
            right = _index(own, label)
        except KeyError as error:
            problems.note(line, f"other columns than the first line ({error})")
            continue
        except LeftOut as problem:
            problems.note(line, str(problem))
            continue
        if not text.strip() or len(own) < 2 or not all(choice.strip() for choice in own):
            problems.note(line, "empty text or choice, or fewer than two")
        elif right is None:
            problems.note(line, "label is not one of the choices")
        else:
            lines.append(line)
            texts.append(text)
            choices.append(own)
            labels.append(right)
    if not lines:
        raise InputError(f"{path}: no example is left: {problems.summary()}")
    inputs = {TEXT: texts, CHOICES: choices}
    return Examples(inputs, labels, str(path), lines, problems)


def _reader(path, row: dict):
    """Returns the function that extracts text, choices and label from a row."""
    for columns, reader in _READERS.items():
        if all(column in row for column in columns):
            return reader
    known = "; ".join(", ".join(columns) for columns in _READERS)
    raise InputError(f"{path}: has the columns {', '.join(row)}; expected one of: {known}")


def _plain(row: dict) -> tuple:
    return _text(row, "text"), _texts(row, "choices"), row["label"]


def _swag(row: dict) -> tuple:
    names = itertools.takewhile(row.__contains__, (f"ending{i}" for i in itertools.count()))
    endings = [_text(row, name) for name in names]
    if "sent1" not in row:
        return _text(row, "startphrase"), endings, row["label"]
    return _text(row, "sent1"), _after(row, "sent2", endings), row["label"]


def _hellaswag(row: dict) -> tuple:
    endings = _texts(row, "endings")
    if "ctx_a" not in row:
        return _text(row, "ctx"), endings, row["label"]
    return _text(row, "ctx_a"), _after(row, "ctx_b", endings), row["label"]


def _race(row: dict) -> tuple:
    question, options = _text(row, "question"), _texts(row, "options")
    choices = [
        question.replace("_", option) if "_" in question else _joined(question, option)
        for option in options
    ]
    return _text(row, "article"), choices, _LETTERS.get(str(row["answer"]).strip())


_LETTERS = {letter: index for index, letter in enumerate(string.ascii_uppercase)}
_READERS = {
    ("text", "choices", "label"): _plain,
    ("sent1", "ending0", "ending1", "label"): _swag,
    ("startphrase", "ending0", "ending1", "label"): _swag,
    ("ctx", "endings", "label"): _hellaswag,
    ("ctx_a", "endings", "label"): _hellaswag,
    ("article", "question", "options", "answer"): _race,
}


def _text(row: dict, column: str) -> str:
    return string_of(row[column], column)


def _texts(row: dict, column: str) -> list[str]:
    if not isinstance(row[column], list):
        raise LeftOut(f"{column} is not a list")
    return [string_of(one, f"one of {column}") for one in row[column]]


def _after(row: dict, column: str, endings: list[str]) -> list[str]:
    """Returns the endings, each after the text of a column, if there is this column."""
    start = _text(row, column) if column in row else ""
    return [_joined(start, ending) for ending in endings]


def _joined(start: str, end: str) -> str:
    return f"{start} {end}".strip() if end.strip() else ""


def _index(choices: list[str], label) -> int | None:
    """Returns the index of the right choice; None if the label is not one of the choices."""
    if isinstance(label, str):
        label, choices = label.strip(), [choice.strip() for choice in choices]
    if label in choices:
        return choices.index(label)
    if isinstance(label, float) and label.is_integer():
        label = int(label)  # pandas converts 1 to 1.0 if values of the column are missing
    is_number = type(label) is int or (isinstance(label, str) and label.isdecimal())
    index = int(label) if is_number else -1
    return index if 0 <= index < len(choices) else None
