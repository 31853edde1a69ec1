"""The JSON of TensorFlow Serving's REST API <-> arrays.

Strings are bytes in arrays of objects, as TensorFlow has them.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kerasbert.errors import shown
from kerasbert.serving.server.errors import invalid

_DEEPEST = 8  # dimensions of an input
_AT_ONCE = 2  # dimensions of numbers that are printed together, each in 128 bytes


class Request(NamedTuple):
    """A request for predictions."""

    signature: str
    inputs: dict[str, np.ndarray]
    #: Whether it has the row form, `instances`, which decides the form of the answer.
    by_row: bool


def parse(body: bytes, inputs_of: Callable[[str], Mapping[str, np.dtype]]) -> Request:
    """Parses the body of a request.

    Args:
        body: JSON in UTF-8.
        inputs_of: function from the name of a signature ("" for the default) to the dtype of each
            input; object stands for strings.

    Raises:
        RequestError: the body is no JSON, or lacks something.
    """
    try:
        document = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise invalid(f"JSON Parse error: the body is not UTF-8 at offset: {error.start}") from None
    except RecursionError:
        raise invalid("JSON Parse error: nested too deeply") from None
    except ValueError as error:
        raise invalid(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise invalid("JSON Parse error: the body must be an object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid("'signature_name' must be a string")
    kinds = inputs_of(name)
    forms = [form for form in ("instances", "inputs") if form in document]
    if not forms:
        raise invalid("Missing 'inputs' or 'instances' key")
    if len(forms) == 2:
        raise invalid("only one of 'inputs' and 'instances' may be given")
    by_row = forms == ["instances"]
    value = document[forms[0]]
    columns = _columns_of_rows(value, kinds) if by_row else _columns(value, kinds)
    return Request(name, {key: array(key, columns[key], kinds[key]) for key in columns}, by_row)


def _columns_of_rows(rows, kinds: Mapping) -> dict[str, list]:
    if not isinstance(rows, list) or not rows:
        raise invalid(f"'instances' must be a list with at least one row, found {shown(rows)}")
    named = _is_object(rows[0])
    if not named and len(kinds) > 1:
        raise invalid(f"each of 'instances' must be an object with the keys {_names(kinds)}")
    for number, row in enumerate(rows):
        if _is_object(row) != named:
            raise invalid(f"row {number} of 'instances' must be of the same kind as the first")
        if named and row.keys() != kinds.keys():
            raise invalid(
                f"row {number} of 'instances' must have the keys {_names(kinds)}, "
                f"found {_names(row)}"
            )
    if named:
        return {key: [row[key] for row in rows] for key in kinds}
    return {next(iter(kinds)): rows}


def _columns(inputs, kinds: Mapping) -> dict[str, list]:
    if not _is_object(inputs):
        if len(kinds) > 1:
            raise invalid(f"'inputs' must be an object with the keys {_names(kinds)}")
        return {next(iter(kinds)): inputs}
    if inputs.keys() != kinds.keys():
        raise invalid(f"'inputs' must have the keys {_names(kinds)}, found {_names(inputs)}")
    return {key: inputs[key] for key in kinds}


def _names(mapping: Mapping) -> str:
    return shown(", ".join(sorted(mapping)))


def _is_object(value) -> bool:
    return isinstance(value, dict) and not _is_binary(value)


def _is_binary(value) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


# === Values ===


def array(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    """Converts a value, or nested lists of values of the same lengths, to an array.

    Raises:
        RequestError: a value has another type, or lengths differ.
    """
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    if len(shape) > _DEEPEST:
        raise invalid(f"{name}: lists are nested too deeply")
    flat = []
    _flatten(name, value, shape, flat)
    convert = _string if dtype.hasobject else _number(dtype)
    result = np.empty(len(flat), dtype)
    for position, one in enumerate(flat):
        try:
            result[position] = convert(name, one)
        except OverflowError:  # of an integer that is larger than any float
            raise invalid(f"{name} must be {dtype}, found {shown(one)}") from None
    return result.reshape(shape)


def _flatten(name: str, value, shape: list[int], flat: list) -> None:
    if isinstance(value, list) != bool(shape):
        raise invalid(f"{name}: lists must be nested equally deep, found {shown(value)}")
    if not shape:
        flat.append(value)
        return
    if len(value) != shape[0]:
        raise invalid(f"{name}: a list has {len(value)} values where another has {shape[0]}")
    for one in value:
        _flatten(name, one, shape[1:], flat)


def _string(name: str, value) -> bytes:
    if _is_binary(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise invalid(f"{name}: {shown(value)} is not base64") from None
    if not isinstance(value, str):
        raise invalid(f"{name} must be a string, found {shown(value)}")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise invalid(f"{name}: {shown(value)} has half of a surrogate pair") from None


def _number(dtype: np.dtype) -> Callable:
    def convert(name: str, value):
        whole = np.issubdtype(dtype, np.integer)
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or (whole and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
            raise invalid(f"{name} must be {dtype}, found {shown(value)}")
        return value

    return convert


# === Answers ===


def render(outputs: Mapping[str, np.ndarray], by_row: bool) -> bytes:
    """Returns the body of an answer, in the form of its request."""
    values = {name: _values(name, outputs[name]) for name in sorted(outputs)}
    if not by_row:
        content = values if len(values) > 1 else next(iter(values.values()))
        return json.dumps({"outputs": content}, ensure_ascii=False).encode()
    if len(values) == 1:
        (rows,) = values.values()
    else:
        rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return json.dumps({"predictions": rows}, ensure_ascii=False).encode()


def _values(name: str, values: np.ndarray) -> list:
    if values.dtype == object:
        is_binary = name.endswith("_bytes")
        return _texts(values.tolist(), is_binary)
    if values.dtype == np.float32 and values.ndim > _AT_ONCE:
        return [_values(name, one) for one in values]
    if values.dtype == np.float32:  # the shortest decimals that give the same float32
        return values.astype("U").astype(np.float64).tolist()
    return values.tolist()


def _texts(value, is_binary: bool) -> Any:
    if isinstance(value, list):
        return [_texts(one, is_binary) for one in value]
    if is_binary:
        return {"b64": base64.b64encode(value).decode()}
    return value.decode("utf-8", "replace")
