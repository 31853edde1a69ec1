"""Labelled texts from TSV, CSV, JSON lines and TensorFlow Datasets."""

import copy
import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Self

from kerasbert.data import glue as glue_tasks
from kerasbert.data.labels import (
    LeftOut,
    check_names,
    flagged,
    label_reader,
    suggest_flags,
    text_of,
)
from kerasbert.data.skipped import SkippedExamples
from kerasbert.data.tables import (
    KNOWN_COLUMNS,
    TFDS,
    columns_of,
    find_column,
    first_of,
    no_column,
    read_table,
    read_tfds,
)
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_PAIR


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
    problems: SkippedExamples
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
        row_values = {name for label in self.labels for name in _names(label)}
        numbers = all(re.fullmatch(r"-?\d+", name) for name in row_values)
        return sorted(row_values, key=int if numbers else None)

    @property
    def num_skipped(self) -> int:
        """How many examples were left out."""
        return self.problems.num_skipped

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
        for location, (line, label) in enumerate(zip(self.lines, self.labels, strict=True)):
            if unknown := [name for name in _names(label) if name not in known]:
                problems.note(line, f"label {unknown[0]!r} is none of {_listed(classes)}")
            else:
                kept.append(location)
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
    name, _, split = str(source).removeprefix(TFDS).partition(":")
    is_tfds = str(source).startswith(TFDS)
    if is_tfds and name.startswith("glue/"):
        glue = name.removeprefix("glue/")
    columns = {"text": text_column, "text_pair": text_pair_column, "label": label_column}
    if glue is None:
        format = _Format(columns, column_names, problem_type)
    else:
        format = _glue_format(glue, is_tfds, columns, column_names)
    read_value = label_reader(format.problem_type, label_separator, format.class_names)
    problems = SkippedExamples(source, strict=strict)
    if is_tfds:
        rows = read_tfds(name, split)
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
            row_values = {key: text_of(row.get(column), key) for key, column in columns.items()}
            labels.append(flagged(row, label) if has_flags else read_value(row.get(label), "label"))
        except LeftOut as problem:
            problems.note(line, str(problem))
            continue
        lines.append(line)
        for key, value in row_values.items():
            texts[key].append(value)
    if not lines:
        raise InputError(f"{source}: no example is left: {problems.summary()}")
    if format.problem_type == "single_label_classification":
        check_names(labels, source)
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
    problems = SkippedExamples(path, strict=strict)
    rows = read_table(path, column_names=column_names, problems=problems)
    column = find_column(TEXT, columns_of(rows), text_column, path)
    lines, texts = [], []
    for line, row in rows:
        try:
            texts.append(text_of(row.get(column), TEXT))
        except LeftOut as problem:
            problems.note(line, str(problem))
            continue
        lines.append(line)
    if not texts:
        raise InputError(f"{path}: no text is left: {problems.summary()}")
    return Examples({TEXT: texts}, [], str(path), lines, problems)


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
        row_values = dict(self.columns)
        row_values[TEXT] = row_values[TEXT] or first_of(KNOWN_COLUMNS[TEXT], there)
        if not self.is_single:
            row_values[TEXT_PAIR] = row_values[TEXT_PAIR] or first_of(
                KNOWN_COLUMNS[TEXT_PAIR], there
            )
        if row_values[TEXT_PAIR] is None:
            del row_values[TEXT_PAIR]
        is_multi_label = self.problem_type == "multi_label_classification"
        if row_values["label"] is None and is_multi_label and "label" not in there:
            suggest_flags(rows, there, source)
        row_values["label"] = row_values["label"] or "label"
        if not isinstance(row_values["label"], str) and not is_multi_label:
            raise InputError("several columns hold labels only in multi_label_classification")
        for name, columns in row_values.items():
            for column in [columns] if isinstance(columns, str | None) else columns:
                if column not in there:
                    raise no_column(column, name, there, source)
        if row_values[TEXT] == row_values.get(TEXT_PAIR):
            raise InputError(
                f"{source}: text and text_pair are both in column {row_values[TEXT]!r}; "
                "--text_column and --text_pair_column name two"
            )
        return row_values


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
