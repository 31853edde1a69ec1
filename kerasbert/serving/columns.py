"""What all clients of exports have in common: columns of strings in, a dict for each row out."""

from collections.abc import Mapping, Sequence
from typing import Any

from kerasbert.errors import InputError, shown
from kerasbert.features import LIST_COLUMNS


def checked_columns(
    where: Any, wanted: Sequence[str], columns: Mapping[str, Any]
) -> dict[str, Sequence[Any]]:
    """Returns columns that have the names and lengths that a model takes.

    Args:
        where: the model, for messages.
        wanted: the names of its inputs.
        columns: a list for each input.

    Raises:
        InputError: an input is missing or unknown, is no list, or not one of lists where it must
            be, or lengths differ.
    """
    if sorted(columns) != sorted(wanted):
        raise InputError(f"{where}: takes {' and '.join(wanted)}, found {' and '.join(columns)}")
    for name, column in columns.items():
        if isinstance(column, str | bytes):
            raise InputError(f"{name} must be a list, found {column!r}; put it in one")
        if not hasattr(column, "__len__"):
            raise InputError(f"{name} must be a list, found {shown(column)}")
        for row in column if name in LIST_COLUMNS else ():
            if isinstance(row, str | bytes) or not hasattr(row, "__len__"):  # of its characters
                raise InputError(f"{name} must hold lists of strings, found {shown(row)}")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise InputError(f"there must be as many texts as text pairs, found {sorted(lengths)}")
    return dict(columns)


def rows_of(columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Converts lists of the same length, by name, to a dict for each row; bytes become strings.

    U+FFFD replaces bytes that are not valid UTF-8, which a model of another package may return.
    """
    texts = {name: _plain(column) for name, column in columns.items()}
    return [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]


def _plain(value):
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
