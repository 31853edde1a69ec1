"""The values of rows -> texts and labels."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from kerasbert import schema
from kerasbert.data import json_lines
from kerasbert.errors import InputError


class LeftOut(Exception):  # noqa: N818 - it is no error
    """Why an example is left out."""


def text_of(value, name: str) -> str:
    """A text, or a number as one; raises `LeftOut` for anything else and for an empty one."""
    no_number = isinstance(value, float) and not math.isfinite(value)  # JSON's NaN
    if value is None or isinstance(value, list | dict) or no_number:
        raise LeftOut(f"no text or number as {name}")
    text = json_lines.without_surrogates(str(value))
    if not text.strip():
        raise LeftOut(f"empty {name}")
    return text


def _label(value, name: str) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas makes 1.0 of 1 where others in the column are missing
    return text_of(value, name).strip()


def label_reader(
    problem_type: str, separator: str | None, names: Mapping[str, str] | None
) -> Callable:
    """From a row's value to a label."""

    def one(value, name):
        label = _label(value, name)
        if names is not None and label not in names:
            raise LeftOut(f"label {label!r} is none of {', '.join(names)}")
        return label if names is None else names[label]

    def number(value, name):
        try:
            parsed = float(text_of(value, name))
        except ValueError:
            raise LeftOut(f"label {value!r} is no number") from None
        if not math.isfinite(parsed):
            raise LeftOut(f"label {value!r} is no number")
        return parsed

    def several(value, name):
        if isinstance(value, str):
            value = value.split(separator) if separator else _json_list(value)
        if not isinstance(value, list):
            raise LeftOut("the label is no list")
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


def flagged(row: dict, columns: Sequence[str]) -> list[str]:
    """The columns that hold 1."""
    for column in columns:
        if _flag(row.get(column)) is None:
            raise LeftOut(f"{column} is neither 1 nor 0")
    return [column for column in columns if _flag(row[column])]


def suggest_flags(rows: Sequence[tuple[int, dict]], there: Sequence[str], source) -> None:
    """Raises `InputError` where labels seem to have a column each."""
    flags = [c for c in there if all(_flag(row.get(c)) is not None for _, row in rows)]
    if len(flags) > 1:
        raise InputError(
            f"{source}: has no column 'label'; if each of its columns of 1 and 0 is a class: "
            f"--label_column {','.join(flags)}"
        )


_MOST_NUMBERS = 20  # as classes


def check_names(labels: Sequence[str], source) -> None:
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
        raise LeftOut("the label is no list in JSON (--label_separator?)") from None
