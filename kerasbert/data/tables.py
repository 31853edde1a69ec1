"""Rows of TSV, CSV, JSON lines, text files and TensorFlow Datasets."""

import collections
import csv
import itertools
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kerasbert import files
from kerasbert.data import json_lines
from kerasbert.data.skipped import SkippedExamples
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_PAIR

#: The accepted column names of each key.
KNOWN_COLUMNS = {
    TEXT: ("text", "sentence", "text_a", "sentence1"),
    TEXT_PAIR: ("text_pair", "text_b", "sentence2"),
}
#: The accepted column names of texts.
TEXT_COLUMNS = tuple(itertools.chain.from_iterable(KNOWN_COLUMNS.values()))
#: The prefix of a source in TensorFlow Datasets.
TFDS = "tfds:"


def read_table(
    path: str | os.PathLike[str],
    *,
    column_names: Sequence[str] | None = None,
    problems: SkippedExamples | None = None,
    has_columns: bool = False,
) -> list[tuple[int, dict[str, Any]]]:
    """Reads TSV or CSV with a header line, JSON lines, or lines of text.

    TSV is split at tabs, without quoting, as in GLUE; CSV can have quotes. The rows of a text file
    are its lines, with one column, `text`.

    Args:
        path: `.tsv`, `.csv`, `.jsonl` or `.txt` file, optionally with `.gz`.
        column_names: list of the columns of a TSV or CSV file without a header line.
        problems: `SkippedExamples` that counts rows with another number of columns. If None, they
            raise an error.
        has_columns: whether a `.txt` file is TSV.

    Returns:
        Non-empty list of the line number, from 1, and the dict of values by column of every row.

    Raises:
        InputError: the file can't be read or is empty, or a line is malformed; the message names
            the line.
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
    path: str | os.PathLike[str],
    *,
    column_names: Sequence[str] | None = None,
    problems: SkippedExamples,
    has_columns: bool = False,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Does what `read_table` does as an iterator, which may be empty."""
    path = pathlib.Path(path)
    ending = files.ending(path)
    if ending not in _READERS:
        raise InputError(
            f"{path}: expected a name that ends in {', '.join(sorted(_READERS))}, or these and .gz"
        )
    reader = _tsv if ending == ".txt" and has_columns else _READERS[ending]
    yield from reader(path, column_names, problems)


# === Columns ===


def columns_of(rows: Sequence[tuple[int, dict[str, Any]]]) -> list[str]:
    """Returns the columns, or keys, of all rows."""
    return list(dict.fromkeys(column for _, row in rows for column in row))


def find_column(key: str, there: Sequence[str], wanted: str | None, source: Any) -> str:
    """Returns the column with the values of a key.

    Args:
        key: string, such as `text`.
        there: list of the existing columns.
        wanted: string, the required column, or None for one of the usual names.
        source: path of the file, for messages.

    Raises:
        InputError: the column does not exist.
    """
    chosen = wanted or first_of(KNOWN_COLUMNS.get(key, (key,)), there)
    if chosen is None or chosen not in there:
        raise no_column(chosen, key, there, source)
    return chosen


def no_column(
    column: str | None,
    name: str,
    there: Sequence[str],
    source: Any,
    usual: Sequence[str] = (),
) -> InputError:
    """Returns the error for a missing column.

    Args:
        column: string, its name; None if it may have any of the usual ones.
        name: string, its key, such as `text`.
        there: list of the existing columns.
        source: path of the file.
        usual: if `column` is that of a model's training files, the other names that were looked
            for.
    """
    asked = f"column {column!r}" if column else f"{name} column with a usual name"
    if usual:
        asked += f", which the model was fine-tuned on, nor {' or '.join(usual)}"
    hints = [f"set --{name}_column"] if name in (*KNOWN_COLUMNS, "label") else []
    if files.ending(source) in (".tsv", ".csv"):
        hints.append("--column_names names the columns of a file without a header line")
    shown = (column if len(column) <= 50 else f"{column[:50]}..." for column in map(str, there))
    hint = f" ({'; '.join(hints)})" if hints else ""
    return InputError(f"{source}: has no {asked}; the columns are {', '.join(shown)}{hint}")


def check_distinct(columns: Mapping[str, Any], source: Any) -> None:
    """Checks that no column is used twice.

    Args:
        columns: dict from keys, such as `text`, to the name of a column, or to several.
        source: path of the file, for messages.

    Raises:
        InputError: a column is that of two keys.
    """
    keys: dict[str, str] = {}
    for key, names in columns.items():
        for name in [names] if isinstance(names, str) else names:
            if (other := keys.setdefault(name, key)) != key:
                raise InputError(
                    f"{source}: {other} and {key} are both in column {name!r}; name two columns "
                    "(--text_column, --text_pair_column, --label_column)"
                )


def first_of(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """Returns the first of `names` that is a column, or None."""
    return next((name for name in names if name in columns), None)


_LOOKED_AT = 100  # rows of JSON lines, whose keys may differ


def columns_in(
    path: str | os.PathLike[str], column_names: Sequence[str] | None = None
) -> list[str]:
    """Returns the columns of a file, or the keys of its first rows; none if it has no rows.

    Args:
        path: see `read_table`.
        column_names: see `read_table`.

    Raises:
        InputError: the file can't be read, or one of these lines is malformed.
    """
    rows = iterate_table(path, column_names=column_names, problems=SkippedExamples(path))
    return columns_of(list(itertools.islice(rows, _LOOKED_AT)))


# === TensorFlow Datasets ===


def read_tfds(name: str, split: str) -> list[tuple[int, dict[str, Any]]]:
    """Returns the rows of a split, numbered from 1; classes are names, and -1 is None."""
    import tensorflow_datasets as tfds

    try:
        loaded: Any = tfds.load(name, split=split or None, with_info=True)
        dataset, info = loaded
    except (ValueError, AssertionError, tfds.core.DatasetNotFoundError) as error:
        raise InputError(f"{TFDS}{name}:{split}: {str(error).splitlines()[0]}") from None
    if not split:
        raise InputError(f"{TFDS}{name}: a split is missing, such as {TFDS}{name}:{min(dataset)}")
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
    """Iterates over rows as dicts, with the given column names or those of the first line.

    A blank line is an empty text if there is one column, and is skipped otherwise. Empty cells
    after the last column, from trailing separators, are ignored.
    """
    header = list(names or next((row for _, row in lines if row != [""]), []))
    if not names:
        header = [name.strip() for name in header]
        while header and not header[-1]:
            del header[-1]
        files.refuse_stand_in(path, "\t".join(header).encode())
    if repeated := [name for name, count in collections.Counter(header).items() if count > 1]:
        raise InputError(f"{path}:1: the column {repeated[0]!r} occurs more than once")
    for number, row in lines:
        if row == [""] and len(header) > 1:
            continue
        if not any(cell.strip() for cell in row[len(header) :]):
            row = row[: len(header)]
        if len(row) == len(header):
            yield number, dict(zip(header, row, strict=True))
        else:
            problems.note(number, f"has {len(row)} columns, the header has {len(header)}")


def _csv(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with files.open_text(path, newline="", is_text=True) as file:
        yield from _rows(path, _csv_rows(path, file), names, problems)


def _csv_rows(path: pathlib.Path, file: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Iterates over the first line's number and the cells of rows; cells can have any length."""
    read_all = False

    def lines():
        nonlocal read_all
        yield from file
        read_all = True

    csv.field_size_limit(sys.maxsize)  # the csv module has only a global limit
    reader, before = csv.reader(lines()), 0
    try:
        for row in reader:
            if read_all:  # the file ended within the row
                raise InputError(f"{path}:{before + 1}: has an unclosed quotation mark")
            first, before = before + 1, reader.line_num
            yield first, row or [""]
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: is not CSV ({error})") from None


def _tsv(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with files.open_text(path, newline="\n", is_text=True) as file:
        lines = ((number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1))
        rows = ((number, line.split("\t")) for number, line in lines)
        yield from _rows(path, rows, names, problems)


def _json_lines(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with files.open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, json_lines.parse(path, number, line)


def _lines(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with files.open_text(path, newline="\n", is_text=True) as file:
        for number, line in enumerate(file, start=1):
            yield number, {TEXT: line.rstrip("\r\n")}


_READERS = {".tsv": _tsv, ".csv": _csv, ".jsonl": _json_lines, ".txt": _lines}
