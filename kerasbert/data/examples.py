"""Labelled texts from TSV, CSV and JSON lines."""

import collections
import csv
import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

from kerasbert import features as keys
from kerasbert.data import json_lines
from kerasbert.data.problems import Problems
from kerasbert.errors import InputError

_TEXT_COLUMNS = ("text", "sentence", "text_a", "sentence1")
_PAIR_COLUMNS = ("text_pair", "text_b", "sentence2")


@dataclasses.dataclass(frozen=True)
class Examples:
    """Texts with labels, in the order of the file: `fit(texts, labels)` takes them.

    Attributes:
        texts: raw columns by their keys (see `kerasbert.features`), such as `text`: lists.
        labels: what the task learns, such as class names.
        source: the file.
        lines: the line of each example, from 1.
        problems: what was left out.
    """

    texts: dict[str, list]
    labels: list
    source: str
    lines: list[int]
    problems: Problems

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def classes(self) -> list[str]:
        """The labels that occur, numbers by size, others by the alphabet."""
        found = set(self.labels)
        numbers = all(re.fullmatch(r"-?\d+", label) for label in found)
        return sorted(found, key=int if numbers else None)

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raises `InputError`, naming file and line, for a label that is none of `classes`."""
        for line, label in zip(self.lines, self.labels, strict=True):
            if label not in classes:
                raise InputError(
                    f"{self.source}:{line}: label {label!r} is none of {', '.join(classes)}"
                )


def read_table(path: str | os.PathLike) -> list[tuple[int, dict]]:
    """Reads a file whose first line names its columns (TSV, CSV), or JSON lines.

    TSV is split at tabs and nowhere else (as GLUE's files are); CSV may quote.

    Args:
        path: `.tsv`, `.csv` or `.jsonl`.

    Returns:
        Line number, from 1, and values by column, of every row; one at the least.

    Raises:
        InputError: a file that can't be read or is empty, a malformed line; with the line number.
    """
    path = pathlib.Path(path)
    if path.suffix not in _READERS:
        raise InputError(f"{path}: expected a name that ends in {', '.join(sorted(_READERS))}")
    try:
        rows = list(_READERS[path.suffix](path))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None
    if not rows:
        raise InputError(f"{path}: has no examples")
    return rows


def read_examples(
    path: str | os.PathLike,
    *,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str = "label",
    strict: bool = False,
) -> Examples:
    """Reads texts, or pairs of them, with a class each.

    Args:
        path: as in `read_table`.
        text_column: name of the column with the text; None: `text`, `sentence`, `text_a` or
            `sentence1`, whichever there is.
        text_pair_column: name of the column with the second text; None: `text_pair`, `text_b` or
            `sentence2` if there is one, else the examples are single texts.
        label_column: name of the column with the label.
        strict: raise at the first example that would be left out: one with an empty text.

    Raises:
        InputError: as in `read_table`; a column that is not there; no example is left.
    """
    path = pathlib.Path(path)
    rows = read_table(path)
    columns = list(rows[0][1])
    text_column = text_column or _first(_TEXT_COLUMNS, columns)
    pair_column = text_pair_column or _first(_PAIR_COLUMNS, columns)
    wanted = {keys.TEXT: text_column, keys.TEXT_PAIR: pair_column, "label": label_column}
    if pair_column is None:
        del wanted[keys.TEXT_PAIR]
    for name, column in wanted.items():
        if column not in columns:
            asked = f"column {column!r}" if column else "text column known by its name"
            raise InputError(
                f"{path}: has no {asked}; it has {', '.join(map(str, columns))} "
                f"(--{'label' if name == 'label' else name}_column names another)"
            )
    problems, lines = Problems(path, strict=strict), []
    values = {name: [] for name in wanted}
    for line, row in rows:
        found = {name: _value(path, line, row, column) for name, column in wanted.items()}
        if empty := [name for name, value in found.items() if not value.strip()]:
            problems.note(line, f"empty {empty[0]}")
            continue
        lines.append(line)
        for name, value in found.items():
            values[name].append(value)
    if not lines:
        raise InputError(f"{path}: has no examples but those with an empty text or label")
    labels = values.pop("label")
    return Examples(values, labels, str(path), lines, problems)


def _first(names: Sequence[str], columns: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


def _value(path: pathlib.Path, line: int, row: dict, column: str) -> str:
    value = row.get(column)
    if value is None or isinstance(value, list | dict):
        raise InputError(f"{path}:{line}: has no text or number under {column!r}")
    return json_lines.without_surrogates(str(value))


def _rows(path: pathlib.Path, lines: Iterator[tuple[int, list[str]]]) -> Iterator:
    """Rows as dicts by the names in the first."""
    _, header = next(lines, (0, []))
    if repeated := [name for name, count in collections.Counter(header).items() if count > 1]:
        raise InputError(f"{path}:1: has more than one column {repeated[0]!r}")
    for number, row in lines:
        if len(row) != len(header):
            raise InputError(
                f"{path}:{number}: has {len(row)} columns, the first line has {len(header)}"
            )
        yield number, dict(zip(header, row, strict=True))


def _csv(path: pathlib.Path) -> Iterator[tuple[int, dict]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            yield from _rows(path, ((reader.line_num, row) for row in reader if row))
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: is not CSV ({error})") from None


def _tsv(path: pathlib.Path) -> Iterator[tuple[int, dict]]:
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        lines = ((number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1))
        yield from _rows(path, ((number, line.split("\t")) for number, line in lines if line))


def _json_lines(path: pathlib.Path) -> Iterator[tuple[int, dict]]:
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, json_lines.parse(path, number, line)


_READERS = {".tsv": _tsv, ".csv": _csv, ".jsonl": _json_lines}
