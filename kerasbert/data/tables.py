"""TSV, CSV, JSON lines, lines of text and TensorFlow Datasets -> rows."""

import collections
import csv
import itertools
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from kerasbert import files
from kerasbert.data import json_lines
from kerasbert.data.skipped import SkippedExamples
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_PAIR

#: What the columns of the keys of texts are called.
KNOWN_COLUMNS = {
    TEXT: ("text", "sentence", "text_a", "sentence1"),
    TEXT_PAIR: ("text_pair", "text_b", "sentence2"),
}
#: What columns of texts are called.
TEXT_COLUMNS = tuple(itertools.chain.from_iterable(KNOWN_COLUMNS.values()))
#: What a source of TensorFlow Datasets begins with.
TFDS = "tfds:"


def read_table(
    path: str | os.PathLike,
    *,
    column_names: Sequence[str] | None = None,
    problems: SkippedExamples | None = None,
    has_columns: bool = False,
) -> list[tuple[int, dict]]:
    """Reads a file whose first line names its columns (TSV, CSV), or JSON lines.

    TSV is split at tabs and nowhere else (as GLUE's files are); CSV may quote. The lines of a text
    file are its rows, with one column, `text`.

    Args:
        path: `.tsv`, `.csv`, `.jsonl` or `.txt`, or one of these and `.gz`.
        column_names: the columns of a TSV or CSV file whose first line is a row already.
        problems: where rows with too few or too many columns are noted; None: they raise.
        has_columns: a `.txt` is TSV, too.

    Returns:
        Line number, from 1, and values by column, of every row; one at the least.

    Raises:
        InputError: a file that can't be read or is empty, a malformed line; with the line number.
    """
    problems = problems or SkippedExamples(path, strict=True)
    rows = list(
        iterate_table(path, column_names=column_names, problems=problems, has_columns=has_columns)
    )
    if not rows:
        noted = problems.summary()
        raise InputError(f"{path}: has no examples" + (f" ({noted})" if noted else ""))
    return rows


def iterate_table(
    path: str | os.PathLike,
    *,
    column_names: Sequence[str] | None = None,
    problems: SkippedExamples,
    has_columns: bool = False,
) -> Iterator[tuple[int, dict]]:
    """As `read_table`, one row after the other; perhaps none."""
    path = pathlib.Path(path)
    ending = files.ending(path)
    if ending not in _READERS:
        raise InputError(
            f"{path}: expected a name that ends in {', '.join(sorted(_READERS))}, or that and .gz"
        )
    reader = _tsv if ending == ".txt" and has_columns else _READERS[ending]
    yield from reader(path, column_names, problems)


# === Columns ===


def columns_of(rows: Sequence[tuple[int, dict]]) -> list[str]:
    """The columns, or keys, that some row has."""
    return list(dict.fromkeys(column for _, row in rows for column in row))


def find_column(key: str, there: Sequence[str], wanted: str | None, source) -> str:
    """The column with the values of a key, of those that are there.

    Args:
        key: such as `text`.
        there: the columns.
        wanted: the name that the column must have; None: one of the usual names.
        source: the file.

    Raises:
        InputError: it is not there.
    """
    chosen = wanted or first_of(KNOWN_COLUMNS.get(key, (key,)), there)
    if chosen not in there:
        raise no_column(chosen, key, there, source)
    return chosen


def no_column(column: str | None, name: str, there: Sequence[str], source) -> InputError:
    """What to raise where a column, known or not, of a name is not among those that are there."""
    asked = f"column {column!r}" if column else f"{name} column known by its name"
    hints = [f"--{name}_column names another"] if name in (*KNOWN_COLUMNS, "label") else []
    if files.ending(source) in (".tsv", ".csv"):
        hints.append("--column_names gives names where the first line is an example already")
    shown = (column if len(column) <= 50 else f"{column[:50]}..." for column in map(str, there))
    hint = f" ({'; '.join(hints)})" if hints else ""
    return InputError(f"{source}: has no {asked}; it has {', '.join(shown)}{hint}")


def first_of(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """The first of some names that a column has."""
    return next((name for name in names if name in columns), None)


# === TensorFlow Datasets ===


def read_tfds(name: str, split: str) -> list[tuple[int, dict]]:
    """The rows of a split, numbered from 1; classes by their names, -1 as None."""
    import tensorflow_datasets as tfds

    try:
        dataset, info = tfds.load(name, split=split or None, with_info=True)
    except (ValueError, AssertionError, tfds.core.DatasetNotFoundError) as error:
        raise InputError(f"{TFDS}{name}:{split}: {str(error).splitlines()[0]}") from None
    if not split:
        raise InputError(f"{TFDS}{name}: lacks a split, such as {TFDS}{name}:{min(dataset)}")
    kinds = info.features

    def plain(column, value):
        if isinstance(kinds[column], tfds.features.ClassLabel):
            return kinds[column].int2str(int(value)) if value >= 0 else None
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value.tolist()

    rows = [
        (number, {column: plain(column, value) for column, value in row.items()})
        for number, row in enumerate(tfds.as_numpy(dataset), start=1)
    ]
    if not rows:
        raise InputError(f"{TFDS}{name}:{split}: has no examples")
    return rows


# === Files ===


def _rows(
    path: pathlib.Path,
    lines: Iterator[tuple[int, list[str]]],
    names: Sequence[str] | None,
    problems: SkippedExamples,
) -> Iterator:
    """Rows as dicts by the names given, or else those in the first line.

    A blank line is a row if there is one column, the empty text, and else none. Empty cells behind
    the last column, of separators at the end of a line, are no columns.
    """
    header = list(names or next((row for _, row in lines if row != [""]), []))
    if not names:
        header = [name.strip() for name in header]
        while header and not header[-1]:
            del header[-1]
    if repeated := [name for name, count in collections.Counter(header).items() if count > 1]:
        raise InputError(f"{path}:1: has more than one column {repeated[0]!r}")
    for number, row in lines:
        if row == [""] and len(header) > 1:
            continue
        if not any(cell.strip() for cell in row[len(header) :]):
            row = row[: len(header)]
        if len(row) == len(header):
            yield number, dict(zip(header, row, strict=True))
        else:
            problems.note(number, f"has {len(row)} columns, not {len(header)} as the header")


def _csv(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with files.open_text(path, newline="") as file:
        yield from _rows(path, _csv_rows(path, file), names, problems)


def _csv_rows(path: pathlib.Path, file: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row; cells may have any length."""
    read_all = False

    def lines():
        nonlocal read_all
        yield from file
        read_all = True

    csv.field_size_limit(sys.maxsize)  # there is no such setting for one reader
    reader, before = csv.reader(lines()), 0
    try:
        for row in reader:
            if read_all:  # the reader asked for more, so the row has not come to its end
                raise InputError(f"{path}:{before + 1}: has a quotation that never ends")
            before = reader.line_num
            yield before, row or [""]
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: is not CSV ({error})") from None


def _tsv(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with files.open_text(path, newline="\n") as file:
        lines = ((number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1))
        rows = ((number, line.split("\t")) for number, line in lines)
        yield from _rows(path, rows, names, problems)


def _json_lines(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with files.open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, json_lines.parse(path, number, line)


def _lines(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with files.open_text(path, newline="\n") as file:
        for number, line in enumerate(file, start=1):
            yield number, {TEXT: line.rstrip("\r\n")}


_READERS = {".tsv": _tsv, ".csv": _csv, ".jsonl": _json_lines, ".txt": _lines}
