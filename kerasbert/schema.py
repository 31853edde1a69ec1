"""Parsing of JSON files, with checks of the values against Python types.

A type defines the valid values:

    class _Module(TypedDict):             # an object with these keys, and possibly others
        type: str
        path: NotRequired[str | None]

    modules = schema.parse(text, "modules.json", list[_Module])

    str, int, bool, None                  int: 64 bits; true and false are not integers
    float                                 a finite number, including integers
    list[X], tuple[X, Y], dict[str, X]    arrays of any length, of fixed length, objects
    X | Y, Literal["x", "y"], Any
    Annotated[X, "in [0, 1)", test]       values of X that pass the test
    a dataclass, class or function        an object with its arguments, and no other keys

Errors are one line that names the file and the key.
"""

import functools
import inspect
import itertools
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kerasbert.errors import InputError, shown

#: The rate of a dropout.
Rate = typing.Annotated[float, "in [0, 1)", lambda rate: 0 <= rate < 1]

_MOST = 2**63  # the exclusive limit of integers, as in TensorFlow and NumPy


def parse(text: str | bytes, source: Any, kind: Any = Any) -> Any:
    """Parses JSON and checks the value.

    Args:
        text: string, or UTF-8 bytes.
        source: path of the file, for messages.
        kind: type of the value, as described above.

    Returns:
        The value.

    Raises:
        InputError: the text is not JSON, is nested too deeply, or has another type.
    """
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        parts = sum(map(text.count, "[{,"))
        if parts * _VALUE_BYTES > 3 * len(text) + _FREE_BYTES:
            raise InputError(f"{source}: {parts:,} values in {len(text):,} characters are too many")
        value = json.loads(text)
        if parts >= _DEEPEST and _is_deeper(value, _DEEPEST):
            raise RecursionError
    except RecursionError:
        raise InputError(f"{source}: not valid JSON (nested too deeply)") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{source}: not valid JSON ({error})") from None
    except ValueError as error:  # Python rejects integers of over 4,300 digits
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source}: not valid JSON (an integer of thousands of digits)") from None
    return check(value, kind, source)


# Python objects take more memory than their JSON, about twenty times as much for `[],`.
_VALUE_BYTES, _FREE_BYTES = 64, 400_000_000
_DEEPEST = 64


def _is_deeper(value, levels: int) -> bool:
    inside = [[value]]
    for _ in range(levels + 1):
        parts = (v.values() if type(v) is dict else v for v in inside)
        inside = [v for values in parts for v in values if type(v) in (dict, list)]
    return bool(inside)


def check(value: Any, kind: Any, source: Any, name: str = "") -> Any:
    """Returns a value of JSON after checking its type.

    Args:
        value: string, number, bool, None, list or dict.
        kind: type of the value, as described above.
        source: path of the file, for messages.
        name: string, the key of the value, for messages.

    Raises:
        InputError: the value has another type; the message names source and key.
    """
    if wrong := _checker(kind)(value):
        path, problem = wrong
        location = ".".join(part for part in (name, path) if part).replace(".[", "[")
        raise InputError(f"{source}: {location or 'the content'} {problem}")
    return value


# === From types to functions ===

# A mismatch: the path of the wrong value inside the checked one, and a description.
_Wrong = tuple[str, str]
_Checker = Callable[[Any], _Wrong | None]

_UNIONS = (typing.Union, types.UnionType)
_LISTS, _DICTS = (list, tuple, Sequence), (dict, Mapping)
_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    types.NoneType: "null",
    list: "a list",
    dict: "an object",
}


@functools.cache
def _checker(kind) -> _Checker:
    """Returns the function that describes what is wrong with a value, or returns None."""
    parts = [part for part in _alternatives(kind) if part is not Any]
    if not parts or len(parts) < len(_alternatives(kind)):
        return lambda value: None
    tests = [(_outer_test(part), _inner_checker(part)) for part in parts]
    wanted = " or ".join(dict.fromkeys(map(_said, parts)))

    def wrong(value) -> _Wrong | None:
        inside = None
        for is_outer, check_inner in tests:
            if is_outer(value):
                inside = check_inner and check_inner(value)
                if not inside:
                    return None
        return inside or ("", f"must be {wanted}, found {shown(value)}")

    return wrong


def _alternatives(kind) -> tuple:
    if kind is inspect.Parameter.empty:
        return (Any,)
    return typing.get_args(kind) if typing.get_origin(kind) in _UNIONS else (kind,)


def _origin(kind):
    """Returns the JSON type of a kind: one of `_NAMES`, `Literal` or `Annotated`."""
    origin = typing.get_origin(kind) or kind
    if origin in (typing.Literal, typing.Annotated):
        return origin
    if origin is None:
        return types.NoneType
    if origin in _LISTS:
        return list
    return origin if origin in _NAMES and origin not in _DICTS else dict


def _said(kind) -> str:
    origin, parts = _origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " or ".join(map(repr, parts))
    if origin is typing.Annotated:
        return parts[1]
    count = len(parts) if typing.get_origin(kind) is tuple and ... not in parts else 0
    return f"a list of {count}" if count else _NAMES[origin]


def _outer_test(kind) -> Callable[[Any], bool]:
    """Returns the function that tests a value without the elements of lists and objects."""
    origin, parts = _origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return lambda value: any(type(value) is type(one) and value == one for one in parts)
    if origin is typing.Annotated:
        is_outer, passes = _outer_test(parts[0]), parts[2]
        return lambda value: is_outer(value) and passes(value)
    if origin is int:
        return lambda value: type(value) is int and -_MOST <= value < _MOST
    if origin is float:
        return lambda value: (
            (type(value) is float and math.isfinite(value))
            or (type(value) is int and -_MOST <= value < _MOST)
        )
    if typing.get_origin(kind) is tuple and ... not in parts:
        return lambda value: isinstance(value, list) and len(value) == len(parts)
    return lambda value: isinstance(value, origin)  # including Keras's subclasses of dict and list


def _inner_checker(kind) -> _Checker | None:
    """Returns the checker of the elements of lists and objects; None if there are none."""
    origin, parts = _origin(kind), [p for p in typing.get_args(kind) if p is not ...]
    if origin is list:
        if typing.get_origin(kind) is tuple and ... not in typing.get_args(kind):
            return functools.partial(_wrong_in_row, [_checker(part) for part in parts])
        return functools.partial(_wrong_in_list, _first_wrong(parts[0])) if parts else None
    if origin is not dict:
        return None
    if (typing.get_origin(kind) or kind) in _DICTS:
        return functools.partial(_wrong_in_values, _first_wrong(parts[1])) if parts else None
    fields = {key: (_checker(type), needed) for key, (type, needed) in _fields(kind).items()}
    return functools.partial(_wrong_in_object, fields, typing.is_typeddict(kind))


def _first_wrong(kind) -> Callable[[Iterable, Iterable], tuple[Any, _Wrong] | None]:
    """Returns the function that finds the first wrong value among many, and its key."""
    wrong = _checker(kind)

    def first(keys: Iterable, values: Iterable) -> tuple[Any, _Wrong] | None:
        if _all_plain(values, kind):
            return None
        pairs = zip(keys, values, strict=False)
        return next(((key, fault) for key, value in pairs if (fault := wrong(value))), None)

    return first


def _all_plain(values: Iterable, kind) -> bool:
    """Returns whether all values are certainly right; much faster than checking each."""
    kinds, parts = set(map(type, values)), typing.get_args(kind)
    if typing.get_origin(kind) is tuple and ... not in parts:
        if kinds != {list} or set(map(len, values)) != {len(parts)}:
            return False
        return all(map(_all_plain, zip(*values, strict=True), parts))
    if kinds != {kind} or kind not in (str, bool, int, float):
        return False
    if kind is float:
        return all(map(math.isfinite, values))
    return kind is not int or (min(values) >= -_MOST and max(values) < _MOST)


def _wrong_in_list(first, values: list) -> _Wrong | None:
    if fault := first(itertools.count(), values):
        index, (path, problem) = fault
        return _joined(f"[{index}]", path), problem
    return None


def _wrong_in_row(checkers: list[_Checker], values: list) -> _Wrong | None:
    for index, (wrong, value) in enumerate(zip(checkers, values, strict=True)):
        if fault := wrong(value):
            return _joined(f"[{index}]", fault[0]), fault[1]
    return None


def _wrong_in_values(first, values: dict) -> _Wrong | None:
    if fault := first(values, values.values()):
        key, (path, problem) = fault
        return _joined(key, path), problem
    return None


def _wrong_in_object(fields: dict, is_open: bool, values: dict) -> _Wrong | None:
    for key, (wrong, required) in fields.items():
        if key in values:
            if fault := wrong(values[key]):
                return _joined(key, fault[0]), fault[1]
        elif required:
            return key, "is missing"
    unknown = None if is_open else next((key for key in values if key not in fields), None)
    return (
        None if unknown is None else (unknown, f"is unknown; expected one of {', '.join(fields)}")
    )


def _joined(first: str, rest: str) -> str:
    return f"{first}.{rest}".replace(".[", "[") if rest else first


def _fields(kind) -> dict[str, tuple[Any, bool]]:
    """Returns the keys of an object, with the type of each and whether it is required."""
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind)  # without Required and NotRequired
        return {key: (hint, key in kind.__required_keys__) for key, hint in hints.items()}
    made = kind.__init__ if isinstance(kind, type) else kind
    hints = typing.get_type_hints(made, include_extras=True)
    return {
        name: (hints.get(name, Any), argument.default is inspect.Parameter.empty)
        for name, argument in inspect.signature(kind).parameters.items()
        if argument.kind in (argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY)
    }
