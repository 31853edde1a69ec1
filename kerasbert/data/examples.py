"""Labelled texts from TSV, CSV, JSON lines and TensorFlow Datasets."""

import collections
import copy
import csv
import dataclasses
import json
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

from kerasbert import features as keys
from kerasbert.data import glue as glue_tasks
from kerasbert.data import json_lines
from kerasbert.data.problems import Problems
from kerasbert.errors import InputError

_COLUMNS = {
    keys.TEXT: ("text", "sentence", "text_a", "sentence1"),
    keys.TEXT_PAIR: ("text_pair", "text_b", "sentence2"),
}
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
) -> list[tuple[int, dict]]:
    """Reads a file whose first line names its columns (TSV, CSV), or JSON lines.

    TSV is split at tabs and nowhere else (as GLUE's files are); CSV may quote. The lines of a text
    file are its rows, with one column, `text`.

    Args:
        path: `.tsv`, `.csv`, `.jsonl` or `.txt`.
        column_names: the columns of a TSV or CSV file whose first line is a row already.
        problems: where rows with too few or too many columns are noted; None: they raise.

    Returns:
        Line number, from 1, and values by column, of every row; one at the least.

    Raises:
        InputError: a file that can't be read or is empty, a malformed line; with the line number.
    """
    problems = problems or Problems(path, strict=True)
    rows = list(iterate_table(path, column_names=column_names, problems=problems))
    if not rows:
        noted = problems.summary()
        raise InputError(f"{path}: has no examples" + (f" ({noted})" if noted else ""))
    return rows


def iterate_table(
    path: str | os.PathLike, *, column_names: Sequence[str] | None = None, problems: Problems
) -> Iterator[tuple[int, dict]]:
    """As `read_table`, one row after the other; perhaps none."""
    path = pathlib.Path(path)
    if path.suffix not in _READERS:
        raise InputError(f"{path}: expected a name that ends in {', '.join(sorted(_READERS))}")
    try:
        yield from _READERS[path.suffix](path, column_names, problems)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None


def read_examples(
    source: str | os.PathLike,
    *,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
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
    none of the classes is right.

    Args:
        source: a file as in `read_table`, or "tfds:NAME:SPLIT", a data set of TensorFlow Datasets
            and one of its splits, such as "tfds:glue/sst2:train" or "tfds:imdb_reviews:test[:10%]".
        text_column: name of the column with the text; None: `text`, `sentence`, `text_a` or
            `sentence1`, whichever there is.
        text_pair_column: name of the column with the second text; None: `text_pair`, `text_b` or
            `sentence2` if there is one, else the examples are single texts.
        label_column: name of the column with the label; None: `label`.
        column_names: see `read_table`.
        problem_type: what the labels are, see `TextClassifier`: one class, several or a number.
        label_separator: what stands between several labels, such as ","; None: they are a list in
            JSON.
        glue: the GLUE task, such as "sst2", whose files these are: it knows the columns, the
            classes (by the names that TensorFlow Datasets has) and the kind of label. "tfds:glue/"
            says it already.
        strict: raise at the first example that would be left out.

    Raises:
        InputError: as in `read_table`; a column that is not there; no example is left.
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
    problems = Problems(source, strict=strict)
    if is_tfds:
        rows = _read_tfds(name, split)
    else:
        rows = read_table(source, column_names=format.column_names, problems=problems)
    columns = format.find_columns(list(rows[0][1]), source)
    read_label = _label_reader(format.problem_type, label_separator, format.class_names)
    lines, values = [], {name: [] for name in columns}
    for line, row in rows:
        try:
            found = {
                name: (read_label if name == "label" else _text)(row.get(column), name)
                for name, column in columns.items()
            }
        except _LeftOut as problem:
            problems.note(line, str(problem))
            continue
        lines.append(line)
        for name, value in found.items():
            values[name].append(value)
    if not lines:
        raise InputError(f"{source}: no example is left: {problems.summary()}")
    labels = values.pop("label")
    return Examples(values, labels, str(source), lines, problems, format.classes)


def read_texts(
    path: str | os.PathLike, *, text_column: str | None = None, strict: bool = False
) -> Examples:
    """Reads texts without labels.

    Args:
        path: see `read_table`.
        text_column: see `read_examples`.
        strict: raise at the first empty text.

    Raises:
        InputError: as in `read_table`; there is no such column; no text is left.
    """
    problems = Problems(path, strict=strict)
    rows = read_table(path, problems=problems)
    column = find_column(keys.TEXT, list(rows[0][1]), text_column, path)
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
    has_option = name in (*_COLUMNS, "label")
    return InputError(
        f"{source}: has no {asked}; it has {', '.join(map(str, there))}"
        + (f" (--{name}_column names another)" if has_option else "")
    )


@dataclasses.dataclass(frozen=True)
class _Format:
    """Where the parts of an example are, and what its label is.

    Attributes:
        columns: `text`, `text_pair` and `label` to the names of their columns; None: not known.
        column_names: see `read_table`.
        problem_type: see `read_examples`.
        is_single: whether there is surely no second text.
        class_names: from what stands there to the names of the classes; None: they are the same.
        classes: the names of the classes, if known.
    """

    columns: Mapping[str, str | None]
    column_names: Sequence[str] | None
    problem_type: str
    is_single: bool = False
    class_names: Mapping[str, str] | None = None
    classes: tuple[str, ...] | None = None

    def find_columns(self, there: Sequence[str], source) -> dict[str, str]:
        """The columns of an example's parts, of those that are there."""
        found = dict(self.columns)
        found[keys.TEXT] = found[keys.TEXT] or _first(_COLUMNS[keys.TEXT], there)
        if not self.is_single:
            found[keys.TEXT_PAIR] = found[keys.TEXT_PAIR] or _first(_COLUMNS[keys.TEXT_PAIR], there)
        if found[keys.TEXT_PAIR] is None:
            del found[keys.TEXT_PAIR]
        found["label"] = found["label"] or "label"
        for name, column in found.items():
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
    if value is None or isinstance(value, list | dict):
        raise _LeftOut(f"no text or number as {name}")
    text = json_lines.without_surrogates(str(value))
    if not text.strip():
        raise _LeftOut(f"empty {name}")
    return text


def _label_reader(
    problem_type: str, separator: str | None, names: Mapping[str, str] | None
) -> Callable:
    """From a row's value to a label."""

    def one(value, name):
        label = _text(value, name)
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
        return [_text(part, name).strip() for part in value if part != ""]

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


def _json_list(value: str):
    try:
        return json.loads(value) if value.strip() else []
    except json.JSONDecodeError:
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

    A blank line is a row if there is one column, the empty text, and else none.
    """
    header = names or next((row for _, row in lines if row != [""]), [])
    if repeated := [name for name, count in collections.Counter(header).items() if count > 1]:
        raise InputError(f"{path}:1: has more than one column {repeated[0]!r}")
    for number, row in lines:
        if row == [""] and len(header) > 1:
            continue
        if len(row) == len(header):
            yield number, dict(zip(header, row, strict=True))
        else:
            problems.note(number, f"has {len(row)} columns, not {len(header)} as the header")


def _csv(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        rows = ((reader.line_num, row or [""]) for row in reader)
        try:
            yield from _rows(path, rows, names, problems)
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: is not CSV ({error})") from None


def _tsv(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        lines = ((number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1))
        rows = ((number, line.split("\t")) for number, line in lines)
        yield from _rows(path, rows, names, problems)


def _json_lines(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, json_lines.parse(path, number, line)


def _lines(path: pathlib.Path, names, problems) -> Iterator[tuple[int, dict]]:
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            yield number, {keys.TEXT: line.rstrip("\r\n")}


_READERS = {".tsv": _tsv, ".csv": _csv, ".jsonl": _json_lines, ".txt": _lines}
