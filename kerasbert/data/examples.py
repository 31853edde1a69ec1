"""Labeled texts from TSV, CSV, JSON lines and TensorFlow Datasets."""

import copy
import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from kerasbert.data import glue as glue_tasks
from kerasbert.data.labels import (
    LeftOut,
    check_lists,
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
    check_distinct,
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
    """Texts with labels, in the order of the file, as arguments for `fit(texts, labels)`.

    Attributes:
        texts: dict of lists, the raw columns such as `text` (see `kerasbert.features`).
        labels: list of the labels: class names, lists of class names, or floats.
        source: string, the file.
        lines: list of the line number of each example, from 1, or its number in a dataset.
        problems: `SkippedExamples`, the examples that were skipped.
        known_classes: tuple of the class names in order, if the source defines them, else None.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> size = pathlib.Path("train.csv").write_text(
        ...     "text,label\\na fine day,good\\na dull day,bad\\n,bad\\n"
        ... )
        >>> examples = kerasbert.data.read_examples("train.csv")
        >>> len(examples), examples.texts, examples.labels
        (2, {'text': ['a fine day', 'a dull day']}, ['good', 'bad'])
        >>> examples.lines, examples.problems.lines
        ([2, 3], {'empty text': [4]})
    """

    texts: dict[str, list[Any]]
    labels: list[Any]
    source: str
    lines: list[int]
    problems: SkippedExamples
    known_classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def classes(self) -> list[str]:
        """The known classes, or else the names that occur, sorted numerically or alphabetically.

        It is empty if the labels are floats.

        Examples:
            >>> examples.classes
            ['bad', 'good']
        """
        if self.known_classes is not None:
            return list(self.known_classes)
        found = {name for label in self.labels for name in _names(label)}
        numbers = all(re.fullmatch(r"-?\d+", name) for name in found)
        return sorted(found, key=int if numbers else None)

    @property
    def num_skipped(self) -> int:
        """The number of skipped examples.

        Examples:
            >>> examples.num_skipped
            1
        """
        return self.problems.num_skipped

    def of_classes(self, classes: Sequence[str]) -> Self:
        """Returns the examples whose labels are all among `classes`.

        The other examples are skipped, and counted in `problems`.

        Args:
            classes: list of the names of all classes, which become `classes` of the result.

        Raises:
            InputError: no example is left; or, if `problems` are strict, a label is not among
                `classes`.

        Examples:
            >>> examples.of_classes(["good"]).texts
            {'text': ['a fine day']}
        """
        kept, known, problems = [], set(classes), copy.deepcopy(self.problems)
        for location, (line, label) in enumerate(zip(self.lines, self.labels, strict=True)):
            if unknown := [name for name in _names(label) if name not in known]:
                problems.note(line, f"label {unknown[0]!r} is not one of {_listed(classes)}")
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
    if isinstance(label, str):
        return [label]
    return label if isinstance(label, list) else []


def read_examples(
    source: str | os.PathLike[str],
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
    """Reads texts or pairs of texts with labels.

    An example is skipped, and counted in `problems`, if its line has another number of columns than
    the first, if a text (or either text of a pair) is empty, or if its label is missing, empty or
    invalid. With multiple labels, an empty label is valid: none of the classes applies. White space
    around a label is ignored.

    Args:
        source: path of a file as in `read_table`, or "tfds:NAME:SPLIT" for a split of a dataset of
            TensorFlow Datasets, such as "tfds:glue/sst2:train" or "tfds:imdb_reviews:test[:10%]".
        text_column: string, the column of the text. Defaults to the first existing one of `text`,
            `sentence`, `text_a` and `sentence1`.
        text_pair_column: string, the column of the second text. Defaults to the first existing one
            of `text_pair`, `text_b` and `sentence2`; if there is none, examples are single texts.
        label_column: string, the column of the label. Defaults to `label`. For multiple labels, it
            can be a list of columns, one per class, which contain 1 where the class applies and 0
            elsewhere.
        column_names: see `read_table`.
        problem_type: string, the kind of labels: one class, several classes or a number; see
            `TextClassifier`.
        label_separator: string between multiple labels, such as ",". Defaults to labels as JSON
            lists.
        glue: string, the GLUE task of the file, such as "sst2", which defines the columns, the
            classes (with the names of TensorFlow Datasets) and the kind of labels. It is implied by
            "tfds:glue/". A `.txt` file is read as TSV then, which is the format of MRPC.
        strict: whether to raise an error at the first example that would be skipped.

    Returns:
        `Examples`.

    Raises:
        InputError: the file can't be read (see `read_table`), a column does not exist or is used
            twice, no example is left, or the class labels are evidently decimal numbers.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> lines = ["review\\tstars", "a fine day\\tgood", "a dull day\\tbad"]
        >>> size = pathlib.Path("train.tsv").write_text("\\n".join(lines))
        >>> examples = kerasbert.data.read_examples(
        ...     "train.tsv", text_column="review", label_column="stars"
        ... )
        >>> examples.texts, examples.labels, examples.classes
        ({'text': ['a fine day', 'a dull day']}, ['good', 'bad'], ['bad', 'good'])

        They are arguments of `fit`: `model.fit(examples.texts, examples.labels)`.
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
    has_flags = not isinstance(label, str)  # one column per class
    lines, texts, labels = [], {key: [] for key in columns}, []
    for line, row in rows:
        try:
            of_row = {key: text_of(row.get(column), key) for key, column in columns.items()}
            labels.append(flagged(row, label) if has_flags else read_value(row.get(label), "label"))
        except LeftOut as problem:
            problems.note(line, str(problem))
            continue
        lines.append(line)
        for key, text in of_row.items():
            texts[key].append(text)
    if not lines:
        raise InputError(f"{source}: no example is left: {problems.summary()}")
    if format.problem_type == "single_label_classification":
        check_names(labels, source)
    if format.problem_type == "multi_label_classification" and not has_flags:
        check_lists(labels, source)
    classes = tuple(label) if has_flags else format.classes
    return Examples(texts, labels, str(source), lines, problems, classes)


def read_texts(
    path: str | os.PathLike[str],
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
        strict: whether to raise an error at the first empty text.

    Returns:
        `Examples` without labels.

    Raises:
        InputError: the file can't be read (see `read_table`), the column does not exist, or no text
            is left.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> size = pathlib.Path("texts.txt").write_text("a fine day\\na dull day\\n")
        >>> kerasbert.data.read_texts("texts.txt").texts
        {'text': ['a fine day', 'a dull day']}
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
    """The columns of an example and the kind of its label.

    Attributes:
        columns: dict from `text`, `text_pair` and `label` to the names of their columns; None if
            the name is not given; a list for labels with one column per class.
        column_names: see `read_table`.
        problem_type: see `read_examples`.
        is_single: whether examples are known to be single texts.
        class_names: dict from the values in the file to the names of the classes, or None if they
            are the same.
        classes: tuple of the names of the classes, if known.
    """

    columns: Mapping[str, str | Sequence[str] | None]
    column_names: Sequence[str] | None
    problem_type: str
    is_single: bool = False
    class_names: Mapping[str, str] | None = None
    classes: tuple[str, ...] | None = None

    def find_columns(self, rows: Sequence[tuple[int, dict]], source) -> dict:
        """Determines the columns of an example among those of the rows."""
        there = columns_of(rows)
        columns = dict(self.columns)
        columns[TEXT] = columns[TEXT] or first_of(KNOWN_COLUMNS[TEXT], there)
        if not self.is_single:
            columns[TEXT_PAIR] = columns[TEXT_PAIR] or first_of(KNOWN_COLUMNS[TEXT_PAIR], there)
        if columns[TEXT_PAIR] is None:
            del columns[TEXT_PAIR]
        is_multi_label = self.problem_type == "multi_label_classification"
        if columns["label"] is None and is_multi_label and "label" not in there:
            suggest_flags(rows, there, source)
        columns["label"] = columns["label"] or "label"
        if not isinstance(columns["label"], str) and not is_multi_label:
            raise InputError(
                "label_column can be several columns in multi_label_classification only"
            )
        for name, named in columns.items():
            for column in [named] if isinstance(named, str | None) else named:
                if column not in there:
                    raise no_column(column, name, there, source)
        check_distinct(columns, source)
        return columns


def _glue_format(glue: str, is_tfds: bool, columns: Mapping, column_names) -> _Format:
    """Returns the format of a GLUE task; given columns have precedence."""
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
