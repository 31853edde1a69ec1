"""Tables without the columns that a task takes: which columns hold what it needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from kerasbert.features import LIST_COLUMNS

_LOOKED_AT = 20  # rows of a column
_LONGEST = 40  # characters of a name in a message


def names_of_table(x: Any) -> list | None:
    """Returns the column names of a table; None if `x` is not a table."""
    for attribute in ("column_names", "columns"):  # Arrow and datasets; pandas and polars
        there = getattr(x, attribute, None)
        if there is not None and not callable(there) and hasattr(x, "__getitem__"):
            return list(there)
    return None


def advice(x: Any, accepted: Sequence[Sequence[str]]) -> str:
    """Returns how to pass columns of a table or dict that have other names; "" if none hold text.

    Args:
        x: the input.
        accepted: the accepted combinations of columns; see `kerasbert.data.inputs`.
    """
    is_dict = isinstance(x, Mapping)
    names = list(x) if is_dict else names_of_table(x)
    # A name that does not fit in a message is not worth one.
    names = [name for name in names or () if len(repr(name)) <= _LONGEST]
    lengths = {name: length for name in names if (length := _text_length(x, name))}
    wanted = accepted[0]
    if len(lengths) < len(wanted) or any(key in LIST_COLUMNS for key in wanted):
        return ""
    # Labels can be strings too, but texts are longer.
    longest = sorted(lengths, key=lengths.__getitem__, reverse=True)[: len(wanted)]
    columns = [
        f"{'x' if is_dict else 'df'}[{_quoted(name)}]" for name in lengths if name in longest
    ]
    if len(columns) == 1:
        return f"; pass the column of texts, such as {columns[0]}"
    named = (f"{_quoted(key)}: {column}" for key, column in zip(wanted, columns, strict=True))
    return f"; name the columns in a dict, such as {{{', '.join(named)}}}"


def _quoted(name: Any) -> str:
    return f'"{name}"' if isinstance(name, str) else repr(name)


def _text_length(x: Any, name: Any) -> int:
    """Returns the characters of the first rows of a column; 0 if they are no strings."""
    try:
        values = list(x[name][:_LOOKED_AT])
    except Exception:  # a table of any library: a message must not fail
        return 0
    values = [value.as_py() if hasattr(value, "as_py") else value for value in values]
    return sum(len(value) for value in values if isinstance(value, str | bytes))
