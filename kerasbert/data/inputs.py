"""Conversion of text inputs in all supported forms to raw columns.

TensorFlow is not imported. Tensors, tables and series (of TensorFlow, NumPy, pandas, polars,
PyArrow and Hugging Face's datasets) are recognized by their attributes; none of these packages is
required.
"""

import math
import operator
import re
from collections.abc import Iterator, Mapping, MappingView, Sequence
from typing import Any

import numpy as np

from kerasbert.data.column_advice import advice, names_of_table
from kerasbert.data.json_lines import without_surrogates
from kerasbert.errors import InputError
from kerasbert.features import (
    LIST_COLUMNS,
    QUESTION,
    TEXT,
    TEXT_COLUMNS,
    TEXT_PAIR,
    TOKEN_IDS,
    WORDS,
)

#: The accepted combinations of columns, such as `("text",)` and `("text", "text_pair")`.
Accepted = tuple[tuple[str, ...], ...]

_SHOWN = 60  # maximum length of a value in a message
_TO_LIST = ("tolist", "to_list", "to_pylist")  # methods of arrays and series


def raw_columns(x: Any, accepted: Accepted, name: str, hint: str = "") -> dict[str, Any]:
    """Converts text in any form except a `tf.data.Dataset` to columns of the same length.

    Texts are a string (a batch of one), or a list, tuple, array, tensor or series of strings.
    Several columns are a dict, a table (other columns are ignored), a tuple of columns, a list of
    dicts, or rows: a list of tuples of strings, or an array (batch, columns).

    Args:
        x: the input, as described above.
        accepted: tuple of the accepted combinations of columns.
        name: string, the caller's name in messages.
        hint: string, appended to the message that rejects pairs.

    Returns:
        Dict of columns by key (see `kerasbert.features`): lists of strings, or lists of lists of
        strings for the columns in `LIST_COLUMNS`. Tensors are returned unchanged.

    Raises:
        InputError: the columns are not accepted or differ in length, or a value is not a string.
    """
    given = _named(x, accepted, name)
    if tuple(given) not in accepted:
        for wanted in accepted:  # dicts and tables can have any order
            if given.keys() == set(wanted):
                given = {key: given[key] for key in wanted}
                break
        else:
            there = _found(x, given)
            if TEXT_PAIR in given:
                there += hint
            elif not any(key in TEXT_COLUMNS for key in given):
                there += advice(x, accepted) or f"; ready features are a dict with {TOKEN_IDS}"
            raise InputError(f"{name} takes {_described(accepted)}; found {there}")
    columns = {key: _column(key, column) for key, column in given.items()}
    lengths = {key: length(column) for key, column in columns.items()}
    (first, count), *others = lengths.items()
    for key, other in others:
        if other != count and None not in (other, count):
            raise InputError(f"{first} has {count} rows, but {key} has {other}")
    return columns


def length(column: Any) -> int | None:
    """Returns the number of rows of a column; None if unknown, as inside a graph."""
    return column.shape[0] if hasattr(column, "shape") else len(column)


def checked_size(batch_size: int | None) -> int:
    """Returns the batch size; None becomes 32, as in Keras.

    Raises:
        InputError: it is no whole number, or less than 1.
    """
    return 32 if batch_size is None else checked_count("batch_size", batch_size)


def checked_count(name: str, count: Any) -> int:
    """Returns an argument that must be a whole number of 1 or more.

    Args:
        name: string, the name of the argument in messages.
        count: its value.

    Raises:
        InputError: it is something else.
    """
    try:
        number = operator.index(count)
    except TypeError:
        number = None
    if number is None or isinstance(count, bool):
        raise InputError(f"{name} must be a whole number, found {_shown(count)}")
    if number < 1:
        raise InputError(f"{name} must be 1 or more, found {number}")
    return number


def is_stream(x: Any) -> bool:
    """Returns whether `x` is a generator of batches or a Keras `PyDataset`."""
    return isinstance(x, Iterator) or (hasattr(x, "num_batches") and hasattr(x, "__getitem__"))


def has_own_order(x: Any) -> bool:
    """Returns whether the batches of `x` have an order of their own, which Keras can't change.

    They are those of a dataset, a generator or a `DrawnBatches`.
    """
    return hasattr(x, "element_spec") or isinstance(x, Iterator) or hasattr(x, "keeps_order")


# === Columns ===


def _named(x, accepted: Accepted, name: str) -> dict:
    """Returns the columns by name, unchanged; they may differ from the accepted ones."""
    if isinstance(x, Mapping):
        return _one_row({key: column for key, column in x.items() if column is not None})
    if (there := names_of_table(x)) is not None:
        known = {key for keys_ in accepted for key in keys_} | set(TEXT_COLUMNS)
        chosen = [key for key in there if key in known]
        return {key: x[key] for key in chosen} if chosen else dict.fromkeys(there)
    if hasattr(x, "element_spec"):
        raise InputError(f"{name} takes a tf.data.Dataset in fit, evaluate and predict only")
    if x is None or _is_no_column(x) or _is_symbolic(x):
        raise InputError(
            f"{name} takes {_described(accepted)}; found {_shown(x)}"
            + ("; convert it to a list" if _is_no_column(x) else "")
        )
    if _is_scalar(x):
        return {_single(accepted): [x] if isinstance(x, str | bytes) else x[None]}
    several = _several(accepted)
    if isinstance(x, tuple) and x and (given := _tuple(x, several, accepted)):
        return given
    if _is_tensor(x):
        return _tensor(x, several, accepted)
    rows = _list(x)
    if not rows:
        return {key: [] for key in ((TEXT,) if (TEXT,) in accepted else accepted[0])}
    if isinstance(rows[0], Mapping):
        return _records(rows, name)
    if _is_sequence(rows[0]):
        return _rows(x, rows, several, accepted, name)
    return {_single(accepted): rows}


def _several(accepted: Accepted) -> dict[int, tuple[str, ...]]:
    """Returns the keys by number of columns; pairs are included for the error message."""
    names = {len(wanted): wanted for wanted in accepted if len(wanted) > 1}
    return names or ({} if (WORDS,) in accepted else {2: (TEXT, TEXT_PAIR)})


def _single(accepted: Accepted) -> str:
    return TEXT if not any(QUESTION in wanted for wanted in accepted) else QUESTION


def _one_row(columns: dict) -> dict:
    """Converts a dict of one example to a batch of one."""
    if not any(isinstance(column, str | bytes) for column in columns.values()):
        return columns
    mixed = [
        key
        for key, column in columns.items()
        if not isinstance(column, str | bytes) and (key not in LIST_COLUMNS or _is_nested(column))
    ]
    if mixed:
        one = next(key for key in columns if key not in mixed)
        raise InputError(
            f"{one} is one string, but {mixed[0]} is a column; put the string in a list"
        )
    return {key: [column] for key, column in columns.items()}


def _is_nested(column) -> bool:
    return bool(len(column)) and _is_sequence(column[0])


def _tuple(x: tuple, several: dict, accepted: Accepted) -> dict | None:
    """Returns the columns of a tuple of columns or of one row; None for a tuple of rows."""
    names = several.get(len(x))
    if names is None or isinstance(x[0], Mapping):
        return None
    one_column = any(len(wanted) == 1 for wanted in accepted)
    if not isinstance(x[0], str | bytes):
        return None if x[0] is None and one_column else dict(zip(names, x, strict=True))
    if one_column:
        return None  # a tuple of strings is a list of texts
    return _one_row(dict(zip(names, x, strict=True)))


def _tensor(x, several: dict, accepted: Accepted) -> dict:
    """Converts a tensor of strings to columns."""
    if len(x.shape) == 2 and (WORDS,) in accepted:
        return {WORDS: x}
    if len(x.shape) == 2 and (names := several.get(x.shape[1])):
        return {key: x[:, location] for location, key in enumerate(names)}
    return {_single(accepted): x}


def _records(rows: list, name: str) -> dict:
    """Converts rows that are dicts to columns."""
    names = list(rows[0])
    for location, row in enumerate(rows):
        if not isinstance(row, Mapping) or row.keys() != set(names):
            raise InputError(
                f"{name}: row {location} is not a dict of {', '.join(map(str, names))}"
            )
    return {key: [row[key] for row in rows] for key in names}


def _rows(x, rows: list, several: dict, accepted: Accepted, name: str) -> dict:
    """Converts rows that are lists, of words or of values of several columns."""
    if (WORDS,) in accepted:
        return {WORDS: rows}
    rows = [_list(row) if _is_sequence(row) else row for row in rows]
    width = len(rows[0])
    if getattr(x, "ndim", 1) == 2 and width == 1:
        return {_single(accepted): [row[0] for row in rows]}
    names = several.get(width)
    uneven = [i for i, row in enumerate(rows) if not isinstance(row, list) or len(row) != width]
    if names is None or uneven:
        wanted = "of one string each"
        if any(len(wanted) > 1 for wanted in accepted):
            wanted = f"of {' or '.join(map(str, several))} strings each; columns go in a dict"
        odd = f"; row {uneven[0]} is {_shown(rows[uneven[0]])}" if uneven and names else ""
        raise InputError(
            f"{name} takes {_described(accepted)}; found a list of lists, but rows must be "
            f"{wanted}{odd}"
        )
    if isinstance(x, list) and isinstance(x[0], list) and len(rows) == width:
        raise InputError(
            f"{name}: {width} lists of {width} strings can be rows or columns; make the rows "
            f"tuples, or pass a dict of {' and '.join(names)}"
        )
    return {key: [row[location] for row in rows] for location, key in enumerate(names)}


def _column(key: str, column):
    """Checks a column of strings or of lists of strings; tensors remain tensors."""
    if _is_tensor(column):
        rank = 2 if key in LIST_COLUMNS else 1
        if len(column.shape) == 2 and rank == 1 and column.shape[1] == 1:
            column = column[:, 0]
        if len(column.shape) != rank:
            raise InputError(f"{key} must have rank {rank}, found shape {tuple(column.shape)}")
        return column
    if (there := names_of_table(column)) is not None:  # as a list, it is that of its names
        if len(there) != 1:
            found = f"a table of {', '.join(map(str, there))}{advice(column, ((TEXT,),))}"
            raise InputError(f"{key} must be a list of strings, found {found}")
        column = column[there[0]]
    if isinstance(column, str | bytes) or column is None or not _is_sequence(column):
        raise InputError(f"{key} must be a list of strings, found {_shown(column)}")
    rows = _list(column)
    if key not in LIST_COLUMNS:
        if getattr(column, "ndim", 1) == 2 and column.shape[1] == 1:
            rows = [row[0] for row in rows]
        return _strings(key, rows)
    for location, row in enumerate(rows):
        if isinstance(row, str | bytes) or not _is_sequence(row):
            raise InputError(f"{key}[{location}] must be a list of strings, found {_shown(row)}")
    return [_strings(f"{key}[{location}]", _list(row)) for location, row in enumerate(rows)]


def _strings(key: str, values: list) -> list:
    """Checks that values are strings, and makes them valid Unicode."""
    for location, value in enumerate(values):
        if isinstance(value, str):
            if not value.isascii():
                values[location] = without_surrogates(value)
        elif isinstance(value, bytes):
            pass
        elif _is_tensor(value) and not len(value.shape):
            values[location] = value.numpy()
        elif is_missing(value):
            raise InputError(
                f"{key}[{location}] is missing ({value!r}); remove the row, or use an empty string"
            )
        else:
            raise InputError(f"{key}[{location}] must be a string, found {_shown(value)}")
    return values


def as_string(value: Any) -> Any:
    """Returns bytes as a string, in which U+FFFD stands for bad ones; other values unchanged."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


# === Labels and weights ===


def plain(values: Any) -> Any:
    """Converts labels or weights in any supported form to a list or a NumPy array."""
    if isinstance(values, np.ndarray):
        values = np.atleast_1d(values)
        return values.tolist() if values.dtype.kind in "OSUT" else values
    if hasattr(values, "to_list") and hasattr(values, "row_lengths"):  # a ragged tensor
        return values.to_list()
    if (there := names_of_table(values)) is not None:
        if len(there) == 1:
            return plain(values[there[0]])
        raise InputError(
            f"labels must be one column, found a table of {', '.join(map(str, there))}; numbers of "
            "several classes are an array, such as table.to_numpy()"
        )
    if hasattr(values, "numpy") and hasattr(values, "shape"):
        return plain(values.numpy())
    return values if isinstance(values, Mapping) else _list(values)


def numbers(name: str, values: Any) -> np.ndarray:
    """Converts numbers to a float32 array.

    Args:
        name: string, the name of the values in messages.
        values: numbers, or lists of numbers, in any form that `plain` takes.

    Raises:
        InputError: a value is not a finite number, or lists differ in length.
    """
    values = plain(values)
    if isinstance(values, list):
        for location, value in enumerate(values):
            if isinstance(value, str | bytes | Mapping) or is_missing(value):
                raise InputError(f"{name}[{location}] must be a number, found {_shown(value)}")
    try:
        given = np.asarray(values, "float32")
    except (TypeError, ValueError):
        raise InputError(
            f"{name} must be numbers, the same number of them for each example"
        ) from None
    if not np.isfinite(given).all():
        location = int(np.argwhere(~np.isfinite(given))[0][0])
        raise InputError(f"{name}[{location}] must be a number, found {_shown(values[location])}")
    return given


def sample_weights(values: Any) -> np.ndarray:
    """Returns one weight for each example, float32 (examples,).

    Raises:
        InputError: a weight is no number, or examples have several.
    """
    weights = numbers("sample_weight", values)
    if weights.shape[1:] not in ((), (1,)):
        raise InputError(
            f"sample_weight must be one number for each example, found the shape {weights.shape}"
        )
    return weights.reshape(-1)


def is_missing(value: Any) -> bool:
    """Returns whether a value is None, NaN or a missing value of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


# === What a value is ===


def _is_tensor(x) -> bool:
    """Returns whether `x` is a string tensor of TensorFlow, including ragged and symbolic ones."""
    return getattr(getattr(x, "dtype", None), "name", None) == "string" and hasattr(x, "get_shape")


def _is_no_column(x) -> bool:
    """Returns whether `x` has values without an order, or batches of them, as a loader does."""
    if isinstance(x, Iterator | set | frozenset):
        return True
    of_columns = ("__getitem__", "__contains__", *_TO_LIST)
    is_column = isinstance(x, MappingView) or any(hasattr(x, name) for name in of_columns)
    return hasattr(x, "__iter__") and not is_column


def _is_symbolic(x) -> bool:
    """Returns whether `x` is a `keras.KerasTensor`, from a functional model of the user."""
    return type(x).__name__ == "KerasTensor"


def _is_scalar(x) -> bool:
    if isinstance(x, str | bytes):
        return True
    return (_is_tensor(x) or isinstance(x, np.ndarray)) and len(x.shape) == 0


def _is_sequence(x) -> bool:
    """Returns whether `x` is a sequence of values; strings and dicts are not."""
    if isinstance(x, str | bytes | Mapping) or getattr(x, "shape", None) == ():
        return False
    return hasattr(x, "__len__") and hasattr(x, "__iter__") and not isinstance(x, set | frozenset)


def _list(x) -> list:
    for method in _TO_LIST:
        if callable(getattr(x, method, None)):
            values = getattr(x, method)()
            return values if isinstance(values, list) else [values]
    return list(x) if _is_sequence(x) else [x]


# === Words ===


def _described(accepted: Accepted) -> str:
    return " or ".join(" and ".join(wanted) for wanted in accepted)


def _found(x, given: dict) -> str:
    named = isinstance(x, Mapping) or names_of_table(x) is not None
    alone = " alone" if len(given) == 1 and not named else ""
    return (" and ".join(map(str, given)) or "no column") + alone


def _shown(value) -> str:
    """Returns a value in one line, for messages."""
    text = re.sub(r"\s+", " ", repr(value))
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return text if value is None else f"{text} ({type(value).__name__})"


def shown_classes(classes: Sequence[str]) -> str:
    """Returns the names of at most 20 classes, for messages."""
    more = f", ... ({len(classes)} in all)" if len(classes) > 20 else ""
    return ", ".join(classes[:20]) + more
