"""JSON against types: what is right passes, what is wrong is told with its place."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from kerasbert import InputError, schema


class Module(TypedDict):
    type: str
    path: NotRequired[str | None]


@dataclasses.dataclass
class Facts:
    layers: int
    rate: float | None = None


def head(encoder, *, rate: schema.Rate | None = None, names: Sequence[str] | int = 2, **rest):
    pass


class Head:
    def __init__(self, layers: int, epsilon: Annotated[float, "over 0", lambda e: e > 0] = 1):
        pass


RIGHT = [
    (Any, [1, {"a": None}]),
    (int, -5),
    (float, 1),
    (float, 1.5),
    (bool, False),
    (None, None),
    (dict, {"a": 1}),
    (list, [1, "a"]),
    (Mapping, {}),
    (list[Module], [{"type": "a"}, {"type": "b", "path": None, "more": 3}]),
    (dict[str, int], {"a": 1, "b": 2}),
    (dict[str, int], {}),
    (list[tuple[str, float]], [["a", 1], ["b", 1.5]]),
    (tuple[str, ...], ["a", "b", "c"]),
    (Literal["a", 1], 1),
    (str | list[str], ["a"]),
    (list[str] | dict[str, str], {"a": "b"}),
    (Facts, {"layers": 3, "rate": None}),
    (head, {"encoder": [], "rate": 0, "names": ["a", "b"]}),
    (Head, {"layers": 1, "epsilon": 0.5}),
]


@pytest.mark.parametrize(("kind", "value"), RIGHT)
def test_what_is_right_passes(kind, value):
    assert schema.parse(json.dumps(value), "a.json", kind) == value
    assert schema.parse(b"\xef\xbb\xbf" + json.dumps(value).encode(), "a.json", kind) == value


WRONG = [
    (int, "1.0", "the content must be a whole number, found 1.0"),
    (int, "true", "the content must be a whole number, found True"),
    (int, str(2**63), "the content must be a whole number, found 9223372036854775808"),
    (float, "NaN", "the content must be a finite number, found nan"),
    (float, "-1e999", "the content must be a finite number, found -inf"),
    (float, "1" * 400, "the content must be a finite number, found 1111"),
    (float, "false", "the content must be a finite number, found False"),
    (bool, "1", "the content must be true or false, found 1"),
    (None, "0", "the content must be null, found 0"),
    (str, "null", "the content must be a string, found None"),
    (dict, "[]", "the content must be an object, found []"),
    (list, '"ab"', "the content must be a list, found 'ab'"),
    (list[Module], '[{"type": "a"}, {"type": 3}]', "[1].type must be a string, found 3"),
    (list[Module], '[{"path": null}]', "[0].type is missing"),
    (list[Module], '[{"type": "a", "path": {}}]', "[0].path must be a string or null, found {}"),
    (dict[str, int], '{"a": 1, "b": true}', "b must be a whole number, found True"),
    (dict[str, int], '{"a": 9223372036854775808}', "a must be a whole number, found 9223"),
    (dict[str, list[int]], '{"a": [1, 2, "3"]}', "a[2] must be a whole number, found '3'"),
    (list[tuple[str, float]], '[["a", 1], ["b"]]', "[1] must be a list of 2, found ['b']"),
    (list[tuple[str, float]], '[["a", "b"]]', "[0][1] must be a finite number, found 'b'"),
    (Literal["a", 1], "true", "the content must be 'a' or 1, found True"),
    (str | list[str], '["a", 3]', "[1] must be a string, found 3"),
    (Facts, '{"rate": 0.5}', "layers is missing"),
    (Facts, '{"layers": 2, "rbte": 0.5}', "rbte is unknown; expected one of layers, rate"),
    (head, '{"encoder": 1, "rate": 1.0}', "rate must be in [0, 1) or null, found 1.0"),
    (head, '{"encoder": 1, "rest": 1}', "rest is unknown; expected one of encoder, rate, names"),
    (Head, '{"layers": 1, "epsilon": 0}', "epsilon must be over 0, found 0"),
    (str, "[" * 80, "not valid JSON (Expecting value"),
]


@pytest.mark.parametrize(("kind", "text", "message"), WRONG)
def test_what_is_wrong_is_told(kind, text, message):
    with pytest.raises(InputError) as caught:
        schema.parse(text, "a.json", kind)
    assert str(caught.value).startswith(f"a.json: {message}")


def test_a_key_is_told_with_its_place():
    with pytest.raises(InputError, match=r"^a\.json: head\.rate must be in"):
        schema.check({"encoder": 0, "rate": -0.1}, head, "a.json", "head")
    with pytest.raises(InputError, match=r"^a\.json: heads\[0\] must be"):
        schema.check([3], list[str], "a.json", "heads")


def test_messages_show_text_of_files_safely():
    long = {"\x1b[2J\u202e": "\n" * 1_000_000, "deep": [[[[[[[1]]]]]]]}
    with pytest.raises(InputError) as caught:
        schema.check(long, list, "a.json")
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    assert r"\x1b[2J\u202e" in message
    error = InputError("a.json: " + "\x9b" * 1_000_000 + ": remove it")
    assert str(error).startswith(r"a.json: \x9b")
    assert str(error).endswith(r"\x9b: remove it")
    assert "characters) ..." in str(error)
    assert len(str(error)) < 10_000
    assert str(InputError(str(error))) == str(error) or len(str(InputError(str(error)))) < 3_000
