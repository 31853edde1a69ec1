"""The columns that a model was fine-tuned on, which other programs need not be told again."""

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any, TypeVar

from kerasbert import files
from kerasbert.data.options import ColumnOptions, DataFormat, DataOptions, split_names
from kerasbert.data.tables import TFDS, columns_in, first_of, no_column
from kerasbert.tasks.spec import TaskSpec
from kerasbert.tasks.task import Task
from kerasbert.training.progress import log

_Options = TypeVar("_Options", bound=ColumnOptions)
_TABLES = (".tsv", ".csv", ".jsonl")


def data_format(options: DataOptions, spec: TaskSpec) -> dict[str, Any]:
    """Returns what a model keeps of the options that its training files were read with."""
    names = [name for name in DataFormat.__annotations__ if name in spec.data_options]
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def with_columns_of(
    model: Task, options: _Options, spec: TaskSpec, path: str, *, labels: bool
) -> _Options:
    """Returns options with the columns of the model where none are given, if the file has them.

    A line of the log says which are used. Other files have columns with the usual names.

    Args:
        model: the model, which remembers how its training files were read.
        options: options of the program.
        spec: task spec of the model.
        path: file that will be read.
        labels: whether labels are read, too.

    Raises:
        InputError: the file has neither a column of the model nor one with a usual name.
    """
    known = {field.name for field in dataclasses.fields(options)}
    kept = {
        name: value
        for name, value in model.data_format.items()
        if name in known and getattr(options, name) is None
    }
    if not kept:
        return options
    if "word_column" in spec.data_options:
        used = kept if _has_numbered_columns(path, spec, labels) else {}
    else:
        used = _named_columns(kept, options, spec, path, _keys(model, spec, labels))
    if not used:
        return options
    shown = " ".join(f"--{name}={shlex.quote(str(value))}" for name, value in used.items())
    log(f"{path}: read with {shown}, as the files that the model was fine-tuned on")
    return dataclasses.replace(options, **used)


def _has_numbered_columns(path: str, spec: TaskSpec, labels: bool) -> bool:
    """Whether a file of words has columns without names."""
    ending = files.ending(path)
    return ending not in (".csv", ".jsonl") if labels else ending in spec.input_formats


def _keys(model: Task, spec: TaskSpec, labels: bool) -> Sequence[str]:
    """Returns the keys of the columns that are read."""
    return [*spec.usual_columns] if labels else spec.text_columns(model)


def _named_columns(
    kept: dict[str, Any], options: ColumnOptions, spec: TaskSpec, path: str, keys: Sequence[str]
) -> dict[str, Any]:
    """Returns what is used of `kept`, for a file whose columns have names."""
    if options.glue:  # names the columns
        return {}
    if path.startswith(TFDS):  # looking at it takes as long as reading it
        return kept
    if files.ending(path) not in _TABLES:
        return {}
    there = columns_in(path, split_names(options.column_names))
    used, usual = {}, {key: first_of(spec.usual_columns[key], there) for key in spec.usual_columns}
    for key in keys:
        name = f"{key}_column"
        if there and name in kept:
            columns = split_names(kept[name]) if key == "label" else [kept[name]]
            if kept[name] in there or set(columns or ()) <= set(there):
                used[name] = kept[name]
            elif usual[key] is None:
                raise no_column(kept[name], key, there, path, usual=spec.usual_columns[key])
    # They are of the labels that the model was fine-tuned on, and another column may have others.
    its_labels = "label_column" in used or ("label_column" not in kept and usual["label"])
    if "label" in keys and its_labels:
        used |= {name: kept[name] for name in ("label_separator", "max_score") if name in kept}
    return used
