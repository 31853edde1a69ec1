"""Conversion of the values of rows to texts and labels."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerasbert import schema
from kerasbert.data import json_lines
from kerasbert.errors import InputError


class LeftOut(Exception):  # noqa: N818 - not an error
    """The reason why an example is skipped."""


def string_of(value: Any, name: str) -> str:
    """Returns a string, or a number as a string; raises `LeftOut` for other values."""
    no_number = isinstance(value, float) and not math.isfinite(value)  # JSON's NaN
    if value is None or isinstance(value, list | dict) or no_number:
        raise LeftOut(f"{name} is not a text or number")
    return json_lines.without_surrogates(str(value))


def text_of(value: Any, name: str) -> str:
    """Returns a text, or a number as text; raises `LeftOut` for other or empty values."""
    text = string_of(value, name)
    if not text.strip():
        raise LeftOut(f"empty {name}")
    return text


def _label(value, name: str) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas converts 1 to 1.0 if values of the column are missing
    return text_of(value, name).strip()


def label_reader(
    problem_type: str, separator: str | None, names: Mapping[str, str] | None
) -> Callable[..., Any]:
    """Returns the function that converts a row's value to a label.

    Args:
        problem_type: see `read_examples`.
        separator: string between multiple labels, or None for JSON lists.
        names: dict from values to class names, or None if they are the same.

    Raises:
        InputError: `problem_type` is unknown.
    """

    def one(value, name):
        label = _label(value, name)
        if names is not None and label not in names:
            raise LeftOut(f"label {label!r} is not one of {', '.join(names)}")
        return label if names is None else names[label]

    def number(value, name):
        try:
            parsed = float(text_of(value, name))
        except ValueError:
            raise LeftOut(f"label {value!r} is not a number") from None
        if not math.isfinite(parsed):
            raise LeftOut(f"label {value!r} is not a number")
        return parsed

    def several(value, name):
        if isinstance(value, str):
            value = value.split(separator) if separator else _json_list(value)
        if not isinstance(value, list):
            raise LeftOut("the label is not a list")
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
    """Returns the value of a 0/1 column; None if it is neither."""
    return _FLAGS.get(str(value).strip().lower())


def flagged(row: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """Returns the names of the columns that contain 1."""
    for column in columns:
        if _flag(row.get(column)) is None:
            raise LeftOut(f"{column} is neither 1 nor 0")
    return [column for column in columns if _flag(row[column])]


def suggest_flags(
    rows: Sequence[tuple[int, dict[str, Any]]], there: Sequence[str], source: Any
) -> None:
    """Raises `InputError` if there seems to be one label column per class."""
    flags = [c for c in there if all(_flag(row.get(c)) is not None for _, row in rows)]
    if len(flags) > 1:
        raise InputError(
            f"{source}: has no column 'label'; if its columns of 1 and 0 are the classes, use "
            f"--label_column {','.join(flags)}"
        )


_MOST_NUMBERS = 20  # as classes
_SHOWN = 5  # labels in a message


def check_names(labels: Sequence[str], source: Any) -> None:
    """Raises `InputError` for labels that are measured values and not class names."""
    names = set(labels)
    are_numbers = all(re.fullmatch(r"-?\d+(\.\d+)?", name) for name in names)
    if len(names) > _MOST_NUMBERS and are_numbers and any("." in name for name in names):
        raise InputError(
            f"{source}: the labels are {len(names)} different decimal numbers, such as {labels[0]}"
            ", not classes; use --task regression for numbers"
        )


def check_lists(labels: Sequence[Sequence[str]], source: Any) -> None:
    """Raises `InputError` for lists with a 0 or 1 for each class, which would be names."""
    widths = {len(own) for own in labels}
    names = {name for own in labels for name in own}
    if len(widths) == 1 and min(widths) > 1 and names <= {"0", "1", "False", "True"}:
        raise InputError(
            f"{source}: the labels are 0 and 1 for each of {min(widths)} classes, such as "
            f"{', '.join(labels[0][:_SHOWN])}; give lists of class names, or a column of 0 and 1 "
            "for each class (--label_column a,b,c)"
        )


def _json_list(value: str):
    try:
        return schema.parse(value, "the label") if value.strip() else []
    except InputError:
        raise LeftOut("the label is not a JSON list (--label_separator?)") from None
