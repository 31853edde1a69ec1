"""Examples without labels, for `predict` and for `distill` without labels."""

import math
import os
import pathlib
import reprlib
from collections.abc import Iterator, Sequence
from typing import Any

from kerasbert import files
from kerasbert.data import glue
from kerasbert.data.json_lines import without_surrogates
from kerasbert.data.options import ColumnOptions, split_names
from kerasbert.data.skipped import SkippedExamples
from kerasbert.data.tables import iterate_table
from kerasbert.errors import InputError
from kerasbert.features import LIST_COLUMNS, TEXT, TEXT_PAIR
from kerasbert.tasks.registry import get_specs
from kerasbert.tasks.spec import ID, ROW, TaskSpec
from kerasbert.tasks.task import Task


def raw_examples(
    path: str | os.PathLike[str], model: Task, spec: TaskSpec, options: ColumnOptions
) -> Iterator[dict[str, Any]]:
    """Yields the raw columns of each example of a file by key, with `row` and, if present, `id`.

    No example is skipped, not even an empty one: `row` counts from 1.

    Args:
        path: .txt (one text per line), .tsv, .csv or .jsonl with the model's columns; or a file
            format of the model's task, such as SQuAD's .json; optionally with .gz.
        model: model that will read the examples.
        spec: task spec of the model.
        options: column names, if they are not the usual ones.

    Raises:
        InputError: the file cannot be read, or lacks columns that the model needs.
    """
    path = pathlib.Path(path)
    ending = files.ending(path)
    if ending in spec.input_formats:
        columns = spec.input_formats[ending].read(path, options)
        rows = zip(*columns.values(), strict=True)
        examples = (dict(zip(columns, row, strict=True)) for row in rows)
    elif not (readers := _specs_that_read(path)):
        examples = _from_table(path, model, spec, options)
    else:
        wanted = " or a ".join(reader.task.__name__ for reader in readers)
        raise InputError(
            f"{path}: {ending} files are for a {wanted}, not for a "
            f"{type(model).__name__}, which reads .txt, .tsv, .csv and .jsonl"
        )
    return ({ROW: row, **example} for row, example in enumerate(examples, start=1))


def options_read(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Returns the fields of `ColumnOptions` that apply to a file, by its name."""
    if readers := _specs_that_read(path):
        return readers[0].input_formats[files.ending(path)].options
    return ("text_column", "text_pair_column", "column_names", "glue")


def _specs_that_read(path: str | os.PathLike) -> list[TaskSpec]:
    """Returns the task specs that a file format belongs to; none for tables."""
    return [spec for spec in get_specs() if files.ending(path) in spec.input_formats]


# === Tables ===


def _from_table(
    path: pathlib.Path, model: Task, spec: TaskSpec, options: ColumnOptions
) -> Iterator[dict]:
    named, column_names = _named_columns(path, options)
    first = None
    for line, row in iterate_table(
        path,
        column_names=column_names,
        problems=SkippedExamples(path, strict=True),
        has_columns=options.glue is not None,
    ):
        columns = spec.find_columns(model, path, list(row), named)
        first = first or columns
        if columns.keys() != first.keys():
            raise InputError(
                f"{path}:{line}: has {', '.join(columns)}, but earlier rows have {', '.join(first)}"
            )
        location = f"{path}:{line}"
        example = {key: _value(location, key, row[column]) for key, column in columns.items()}
        yield {**({ID: _name(row[ID])} if ID in row else {}), **example}


def _named_columns(path: pathlib.Path, options: ColumnOptions) -> tuple[dict, Sequence[str] | None]:
    """Returns the names of text columns by key (None if not given), and all columns' names.

    A GLUE task defines both. Only its labeled files may lack a header.
    """
    named = {TEXT: options.text_column, TEXT_PAIR: options.text_pair_column}
    column_names = split_names(options.column_names)
    if options.glue:
        task = glue.task(options.glue)
        of_task = dict(zip(named, task.columns, strict=False))
        if column_names is None and not _names_column(path, str(of_task[TEXT])):
            column_names = task.column_names
        named = {key: named[key] or of_task[key] for key in named}
    return named, column_names


def _names_column(path: pathlib.Path, column: str) -> bool:
    """Whether the header of a TSV file contains a column."""
    with files.open_text(path, is_text=True) as file:
        return column in file.readline().rstrip("\r\n").split("\t")


# === Values ===


def _value(location: str, key: str, value) -> str | list[str]:
    """Checks a text, or the list of texts of `words` and `choices`; numbers become texts."""
    if key not in LIST_COLUMNS:
        if (text := _text(value)) is None:
            raise InputError(f"{location}: {key} must be a text, found {reprlib.repr(value)}")
        return text
    found = [_text(one) for one in value] if isinstance(value, list) else [None]
    texts = [one for one in found if one is not None]
    if len(texts) < len(found):
        raise InputError(f"{location}: {key} must be a list of texts, found {reprlib.repr(value)}")
    return texts


def _text(value) -> str | None:
    """Returns a string that is valid UTF-8; None for anything but strings and numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return without_surrogates(str(value))


def _name(value):
    return without_surrogates(value) if isinstance(value, str) else value
