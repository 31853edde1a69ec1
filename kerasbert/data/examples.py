"""Labelled texts from TSV, CSV, JSON lines and TensorFlow Datasets."""

import collections
import copy
import csv
import dataclasses
import itertools
import math
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Self

from kerasbert import features as keys
from kerasbert import files, schema
from kerasbert.data import glue as glue_tasks
from kerasbert.data import json_lines
from kerasbert.data.problems import Problems
from kerasbert.errors import InputError

_COLUMNS = {
    keys.TEXT: ("text", "sentence", "text_a", "sentence1"),
    keys.TEXT_PAIR: ("text_pair", "text_b", "sentence2"),
}
#: What columns of texts are called.
TEXT_COLUMNS = tuple(itertools.chain.from_iterable(_COLUMNS.values()))
_TFDS = "tfds:"


@dataclasses.dataclass(frozen=True)
class Examples:
    """Texts with labels, in the order of the file: `fit(texts, labels)` takes them.

    Attributes:
        texts: raw columns by their keys (see `kerasbert.features`), such as `text`: lists.
        labels: what the task learns: class names, lists of class names, or floats.
        source: the file.
        lines: the line of each example, from 1; of a data set its number.
        problems: what was left out.
        known_classes: the names of the classes in their order, where the source says; else None.
    """

    texts: dict[str, list]
    labels: list
    source: str
    lines: list[int]
    problems: Problems
    known_classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def classes(self) -> list[str]:
        """The known classes, or the names that occur: numbers by size, others by the alphabet.

        Of labels that are floats there are none.
        """
        if self.known_classes is not None:
            return list(self.known_classes)
        found = {name for label in self.labels for name in _names(label)}
        numbers = all(re.fullmatch(r"-?\d+", name) for name in found)
        return sorted(found, key=int if numbers else None)

    @property
    def left_out(self) -> int:
        """How many examples were left out."""
        return self.problems.left_out

    def of_classes(self, classes: Sequence[str]) -> Self:
        """The examples all of whose labels are among some classes.

        The others are left out, and noted in `problems`.

        Args:
            classes: the names of all classes, in the order that `classes` has then.

        Raises:
            InputError: nothing is left; or the first label that is none of them, if `problems` are
                strict.
        """
        kept, known, problems = [], set(classes), copy.deepcopy(self.problems)
        for place, (line, label) in enumerate(zip(self.lines, self.labels, strict=True)):
            if unknown := [name for name in _names(label) if name not in known]:
                problems.note(line, f"label {unknown[0]!r} is none of {_listed(classes)}")
            else:
                kept.append(place)
        if not kept:
            raise InputError(f"{self.source}: no example is left: {problems.summary()}")
        return dataclasses.replace(
            self,
            texts={key: [column[i] for i in kept] for key, column in self.texts.items()},
            labels=[self.labels[i] for i in kept],
            lines=[self.lines[i] for i in kept],
            problems=problems,
            known_classes=tuple(classes),
        )


_LISTED = 10  # classes that are named in a message


def _listed(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - _LISTED} more" if len(classes) > _LISTED else ""
    return ", ".join(classes[:_LISTED]) + more


def _names(label: str | list[str] | float) -> list[str]:
    if isinstance(label, float):
        return []
    return label if isinstance(label, list) else [label]


def read_table(
    path: str | os.PathLike,
    *,
    column_names: Sequence[str] | None = None,
    problems: Problems | None = None,
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
    problems = problems or Problems(path, strict=True)
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
    problems: Problems,
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


def read_examples(
    source: str | os.PathLike,
    *,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | Sequence[str] | None = None,
    column_names: Sequence[str] | None = None,
    problem_type: str = "single_label_classification",
    label_separator: str | None = None,
    glue: str | None = None,
    strict: bool = False,
) -> Examples:
    """Reads texts, or pairs of them, with labels.

    An example is left out, and counted in `problems`, if its line has not as many columns as the
    others, if a text is empty (of a pair, either: there is nothing to compare), or if its label is
    missing, empty or none that can be. Only among several labels an empty one says something: that
    none of the classes is right. White space around a label does not belong to it.

    Args:
        source: a file as in `read_table`, or "tfds:NAME:SPLIT", a data set of TensorFlow Datasets
            and one of its splits, such as "tfds:glue/sst2:train" or "tfds:imdb_reviews:test[:10%]".
        text_column: name of the column with the text; None: `text`, `sentence`, `text_a` or
            `sentence1`, whichever there is.
        text_pair_column: name of the column with the second text; None: `text_pair`, `text_b` or
            `sentence2` if there is one, else the examples are single texts.
        label_column: name of the column with the label; None: `label`. Of several labels it may be
            a list of columns: each is a class, and holds 1 where it is right and 0 where not.
        column_names: see `read_table`.
        problem_type: what the labels are, see `TextClassifier`: one class, several or a number.
        label_separator: what stands between several labels, such as ","; None: they are a list in
            JSON.
        glue: the GLUE task, such as "sst2", whose files these are: it knows the columns, the
            classes (by the names that TensorFlow Datasets has) and the kind of label. "tfds:glue/"
            says it already. A `.txt` is TSV then, as MRPC's own files are.
        strict: raise at the first example that would be left out.

    Raises:
        InputError: as in `read_table`; a column that is not there; no example is left; labels of
            one class that are many decimal numbers.
    """
    name, _, split = str(source).removeprefix(_TFDS).partition(":")
    is_tfds = str(source).startswith(_TFDS)
    if is_tfds and name.startswith("glue/"):
        glue = name.removeprefix("glue/")
    columns = {"text": text_column, "text_pair": text_pair_column, "label": label_column}
    if glue is None:
        format = _Format(columns, column_names, problem_type)
    else:
        format = _glue_format(glue, is_tfds, columns, column_names)
    read_value = _label_reader(format.problem_type, label_separator, format.class_names)
    problems = Problems(source, strict=strict)
    if is_tfds:
        rows = _read_tfds(name, split)
    else:
        rows = read_table(
            source,
            column_names=format.column_names,
            problems=problems,
            has_columns=glue is not None,
        )
    columns = format.find_columns(rows, source)
    label = columns.pop("label")
    has_flags = not isinstance(label, str)  # a column for each class
    lines, texts, labels = [], {key: [] for key in columns}, []
    for line, row in rows:
        try:
            found = {key: _text(row.get(column), key) for key, column in columns.items()}
            labels.append(_flags(row, label) if has_flags else read_value(row.get(label), "label"))
        except _LeftOut as problem:
            problems.note(line, str(problem))
            continue
        lines.append(line)
        for key, value in found.items():
            texts[key].append(value)
    if not lines:
        raise InputError(f"{source}: no example is left: {problems.summary()}")
    if format.problem_type == "single_label_classification":
        _check_names(labels, source)
    classes = tuple(label) if has_flags else format.classes
    return Examples(texts, labels, str(source), lines, problems, classes)


def read_texts(
    path: str | os.PathLike,
    *,
    text_column: str | None = None,
    column_names: Sequence[str] | None = None,
    strict: bool = False,
) -> Examples:
    """Reads texts without labels.

    Args:
        path: see `read_table`.
        text_column: see `read_examples`.
        column_names: see `read_table`.
        strict: raise at the first empty text.

    Raises:
        InputError: as in `read_table`; there is no such column; no text is left.
    """
    problems = Problems(path, strict=strict)
    rows = read_table(path, column_names=column_names, problems=problems)
    column = find_column(keys.TEXT, columns_of(rows), text_column, path)
    lines, texts = [], []
    for line, row in rows:
        try:
            texts.append(_text(row.get(column), keys.TEXT))
        except _LeftOut as problem:
            problems.note(line, str(problem))
            continue
        lines.append(line)
    if not texts:
        raise InputError(f"{path}: no text is left: {problems.summary()}")
    return Examples({keys.TEXT: texts}, [], str(path), lines, problems)


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
    found = wanted or _first(_COLUMNS.get(key, (key,)), there)
    if found not in there:
        raise _no_column(found, key, there, source)
    return found


def _no_column(column: str | None, name: str, there: Sequence[str], source) -> InputError:
    asked = f"column {column!r}" if column else f"{name} column known by its name"
    hints = [f"--{name}_column names another"] if name in (*_COLUMNS, "label") else []
    if files.ending(source) in (".tsv", ".csv"):
        hints.append("--column_names gives names where the first line is an example already")
    shown = (column if len(column) <= 50 else f"{column[:50]}..." for column in map(str, there))
    hint = f" ({'; '.join(hints)})" if hints else ""
    return InputError(f"{source}: has no {asked}; it has {', '.join(shown)}{hint}")


@dataclasses.dataclass(frozen=True)
class _Format:
    """Where the parts of an example are, and what its label is.

    Attributes:
        columns: `text`, `text_pair` and `label` to the names of their columns; None: not known; a
            list of labels' columns: each holds 1 or 0.
        column_names: see `read_table`.
        problem_type: see `read_examples`.
        is_single: whether there is surely no second text.
        class_names: from what stands there to the names of the classes; None: they are the same.
        classes: the names of the classes, if known.
    """

    columns: Mapping[str, str | Sequence[str] | None]
    column_names: Sequence[str] | None
    problem_type: str
    is_single: bool = False
    class_names: Mapping[str, str] | None = None
    classes: tuple[str, ...] | None = None

    def find_columns(self, rows: Sequence[tuple[int, dict]], source) -> dict:
        """The columns of an example's parts, of those that rows have."""
        there = columns_of(rows)
        found = dict(self.columns)
        found[keys.TEXT] = found[keys.TEXT] or _first(_COLUMNS[keys.TEXT], there)
        if not self.is_single:
            found[keys.TEXT_PAIR] = found[keys.TEXT_PAIR] or _first(_COLUMNS[keys.TEXT_PAIR], there)
        if found[keys.TEXT_PAIR] is None:
            del found[keys.TEXT_PAIR]
        is_multi_label = self.problem_type == "multi_label_classification"
        if found["label"] is None and is_multi_label and "label" not in there:
            _suggest_flags(rows, there, source)
        found["label"] = found["label"] or "label"
        if not isinstance(found["label"], str) and not is_multi_label:
            raise InputError("several columns hold labels only in multi_label_classification")
        for name, columns in found.items():
            for column in [columns] if isinstance(columns, str | None) else columns:
                if column not in there:
                    raise _no_column(column, name, there, source)
        if found[keys.TEXT] == found.get(keys.TEXT_PAIR):
            raise InputError(
                f"{source}: text and text_pair are both in column {found[keys.TEXT]!r}; "
                "--text_column and --text_pair_column name two"
            )
        return found


def _glue_format(glue: str, is_tfds: bool, columns: Mapping, column_names) -> _Format:
    """A task's format; what has been given goes before."""
    task = glue_tasks.task(glue)
    known = zip(columns, task.tfds_columns if is_tfds else task.columns, strict=True)
    return _Format(
        {name: columns[name] or column for name, column in known},
        column_names or task.column_names,
        "single_label_classification" if task.classes else "regression",
        is_single=task.columns[1] is None,
        class_names=None if is_tfds else task.classes,
        classes=tuple(task.classes.values()) if task.classes else None,
    )


def _first(names: Sequence[str], columns: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


# === Values ===


class _LeftOut(Exception):  # noqa: N818 - it is no error
    """Why an example is left out."""


def _text(value, name: str) -> str:
    no_number = isinstance(value, float) and not math.isfinite(value)  # JSON's NaN
    if value is None or isinstance(value, list | dict) or no_number:
        raise _LeftOut(f"no text or number as {name}")
    text = json_lines.without_surrogates(str(value))
    if not text.strip():
        raise _LeftOut(f"empty {name}")
    return text


def _label(value, name: str) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas makes 1.0 of 1 where others in the column are missing
    return _text(value, name).strip()


def _label_reader(
    problem_type: str, separator: str | None, names: Mapping[str, str] | None
) -> Callable:
    """From a row's value to a label."""

    def one(value, name):
        label = _label(value, name)
        if names is not None and label not in names:
            raise _LeftOut(f"label {label!r} is none of {', '.join(names)}")
        return label if names is None else names[label]

    def number(value, name):
        try:
            found = float(_text(value, name))
        except ValueError:
            raise _LeftOut(f"label {value!r} is no number") from None
        if not math.isfinite(found):
            raise _LeftOut(f"label {value!r} is no number")
        return found

    def several(value, name):
        if isinstance(value, str):
            value = value.split(separator) if separator else _json_list(value)
        if not isinstance(value, list):
            raise _LeftOut("the label is no list")
        return [_label(part, name) for part in value if str(part).strip()]

    readers = {
        "single_label_classification": one,
        "multi_label_classification": several,
        "regression": number,
    }
    if problem_type not in readers:
        raise InputError(
            f"problem_type must be one of {', '.join(readers)}, found {problem_type!r}"
        )
    return readers[problem_type]


_FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def _flag(value) -> bool | None:
    """Whether a column says that its class is right; None: it says nothing of the kind."""
    return _FLAGS.get(str(value).strip().lower())


def _flags(row: dict, columns: Sequence[str]) -> list[str]:
    """The columns that hold 1."""
    for column in columns:
        if _flag(row.get(column)) is None:
            raise _LeftOut(f"{column} is neither 1 nor 0")
    return [column for column in columns if _flag(row[column])]


def _suggest_flags(rows: Sequence[tuple[int, dict]], there: Sequence[str], source) -> None:
    """Raises `InputError` where labels seem to have a column each."""
    flags = [c for c in there if all(_flag(row.get(c)) is not None for _, row in rows)]
    if len(flags) > 1:
        raise InputError(
            f"{source}: has no column 'label'; if each of its columns of 1 and 0 is a class: "
            f"--label_column {','.join(flags)}"
        )


_MOST_NUMBERS = 20  # as classes


def _check_names(labels: Sequence[str], source) -> None:
    """Raises `InputError` for labels that are surely no names of classes: measured values."""
    names = set(labels)
    are_numbers = all(re.fullmatch(r"-?\d+(\.\d+)?", name) for name in names)
    if len(names) > _MOST_NUMBERS and are_numbers and any("." in name for name in names):
        raise InputError(
            f"{source}: its labels are {len(names)} different decimal numbers, such as {labels[0]}"
            ", and no classes; --task regression learns numbers"
        )


def _json_list(value: str):
    try:
        return schema.parse(value, "the label") if value.strip() else []
    except InputError:
        raise _LeftOut("the label is no list in JSON (--label_separator?)") from None


# === Sources ===


def _read_tfds(name: str, split: str) -> list[tuple[int, dict]]:
    """The rows of a split, numbered from 1; classes by their names, -1 as None."""
    import tensorflow_datasets as tfds

    try:
        dataset, info = tfds.load(name, split=split or None, with_info=True)
    except (ValueError, AssertionError, tfds.core.DatasetNotFoundError) as error:
        raise InputError(f"{_TFDS}{name}:{split}: {str(error).splitlines()[0]}") from None
    if not split:
        raise InputError(f"{_TFDS}{name}: lacks a split, such as {_TFDS}{name}:{min(dataset)}")
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
        raise InputError(f"{_TFDS}{name}:{split}: has no examples")
    return rows


def _rows(
    path: pathlib.Path,
    lines: Iterator[tuple[int, list[str]]],
    names: Sequence[str] | None,
    problems: Problems,
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
            yield number, {keys.TEXT: line.rstrip("\r\n")}


_READERS = {".tsv": _tsv, ".csv": _csv, ".jsonl": _json_lines, ".txt": _lines}
