"""The bodies are those of TensorFlow Serving's documentation, `g3doc/api_rest.md`."""

import json
import tracemalloc

import numpy as np
import pytest

from kerasbert.serving.server import json_tensors
from kerasbert.serving.server.errors import RequestError

TEXT, FLOAT, INT = np.dtype(object), np.dtype(np.float32), np.dtype(np.int32)
NAMED = {"tag": TEXT, "signal": INT, "sensor": INT}
ROWS = """{
 "instances": [
   {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]},
   {"tag": "bar", "signal": [3, 4, 1, 2, 5], "sensor": [[4, 5], [6, 8]]}
 ]
}"""
COLUMNS = """{
 "inputs": {
   "tag": ["foo", "bar"],
   "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
   "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]
 }
}"""


def parse(body, **kinds):
    body = body.encode() if isinstance(body, str) else body
    return json_tensors.parse(body, lambda name: kinds)


@pytest.mark.parametrize("body", [ROWS, COLUMNS], ids=["rows", "columns"])
def test_both_forms(body):
    request = parse(body, **NAMED)
    assert request.by_row == (body is ROWS)
    assert request.inputs["tag"].tolist() == [b"foo", b"bar"]
    assert request.inputs["signal"].tolist() == [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]]
    assert request.inputs["sensor"].tolist() == [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]
    assert request.inputs["sensor"].dtype == np.int32


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        ('{"instances": ["foo", "bar", "baz"]}', TEXT, [b"foo", b"bar", b"baz"]),
        ('{"instances": [[[1, 2]], [[3, 4]]]}', INT, [[[1, 2]], [[3, 4]]]),
        ('{"instances": [1.0,2.0,5.0]}', FLOAT, [1.0, 2.0, 5.0]),
        ('{"instances": [1, NaN, -Infinity]}', FLOAT, [1.0, np.nan, -np.inf]),
        ('{"inputs": ["foo"]}', TEXT, [b"foo"]),
        ('{"inputs": {"x": []}}', TEXT, []),
        ('{"inputs": [{"b64": "aW1hZ2UgYnl0ZXM="}]}', TEXT, [b"image bytes"]),
        ('{"instances": [{"x": {"b64": "/w=="}}]}', TEXT, [b"\xff"]),
    ],
)
def test_one_input(body, kind, expected):
    found = parse(body, x=kind).inputs["x"]
    assert found.dtype == kind
    np.testing.assert_array_equal(found, np.array(expected, kind))


def test_answers():
    outputs = {"x": np.array([3.5, 4.0, 5.5], np.float32)}
    assert json_tensors.render(outputs, True) == b'{"predictions": [3.5, 4.0, 5.5]}'
    assert json_tensors.render(outputs, False) == b'{"outputs": [3.5, 4.0, 5.5]}'
    outputs["name"] = np.array([b"a", "é".encode(), b"\xff"], object)
    outputs["raw_bytes"] = np.array([[b"\xff"]] * 3, object)
    rows = json.loads(json_tensors.render(outputs, True))["predictions"]
    assert rows[1] == {"x": 4.0, "name": "é", "raw_bytes": [{"b64": "/w=="}]}
    columns = json.loads(json_tensors.render(outputs, False))["outputs"]
    assert columns["name"] == ["a", "é", "\ufffd"]


def test_float32_has_no_noise_digits():
    numbers = np.array([0.2, 1 / 3, 1e-30, 9e6, np.nan], np.float32)
    text = json_tensors.render({"x": numbers}, False)
    assert text == b'{"outputs": [0.2, 0.33333334, 1e-30, 9000000.0, NaN]}'
    found = np.array(json.loads(text)["outputs"], np.float32)
    np.testing.assert_array_equal(found, numbers)


def test_attention_is_printed_in_little_memory():
    """The text of all its numbers at once would take 128 bytes each."""
    heads, tokens = 16, 64
    weights = np.random.default_rng(0).random((1, heads, tokens, tokens), np.float32)
    tracemalloc.start()
    try:
        text = json_tensors.render({"attention_weights": weights}, True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 128 * weights.size
    np.testing.assert_array_equal(np.array(json.loads(text)["predictions"], np.float32), weights)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error"),
        ('{"instances": [1.0, 2.0', "JSON Parse error"),
        ("[1]", "the body must be an object"),
        (b'{"inputs": ["\xff"]}', "the body is not UTF-8 at offset: 13"),
        ('{"inputs": ' + "[" * 100_000, "JSON Parse error: nested too deeply"),
        ('{"inputs": ' + "[" * 50 + "]" * 50 + "}", "nested too deeply"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"inputs": ["a"], "instances": ["a"]}', "only one of"),
        ('{"instances": []}', "at least one row"),
        ('{"instances": {"x": "a"}}', "'instances' must be a list"),
        ('{"signature_name": 3, "inputs": ["a"]}', "'signature_name' must be a string"),
        ('{"inputs": {"y": ["a"]}}', "must have the keys 'x', found 'y'"),
        ('{"instances": ["a", {"x": "b"}]}', "row 1 of 'instances'"),
        ('{"instances": [{"x": "a"}, {"x": "b", "y": "c"}]}', "row 1 of 'instances'"),
        ('{"inputs": ["a", 3]}', "x must be a string, found 3"),
        ('{"inputs": [null]}', "x must be a string, found None"),
        ('{"inputs": ["a", ["b"]]}', "nested equally deep"),
        ('{"inputs": [["a"], ["b", "c"]]}', "a list has 2 values where another has 1"),
        ('{"inputs": [{"b64": "?"}]}', "is not base64"),
        ('{"inputs": ["\\ud800"]}', "half of a surrogate pair"),
        ('{"inputs": [' + "9" * 5000 + "]}", "JSON Parse error"),
    ],
)
def test_mistakes(body, message):
    with pytest.raises(RequestError) as error:
        parse(body, x=TEXT)
    assert error.value.http_status == 400
    assert message in str(error.value)
    assert len(str(error.value)) < 2100


@pytest.mark.parametrize("value", [1.5, True, "1", 2**31, -(2**40)])
def test_integers(value):
    with pytest.raises(RequestError, match="x must be int32, found"):
        parse(json.dumps({"inputs": [value]}), x=INT)


def test_integers_that_no_float_can_hold():
    with pytest.raises(RequestError, match="x must be float32, found 1000"):
        parse(json.dumps({"inputs": [10**400]}), x=FLOAT)
    assert parse(json.dumps({"inputs": [10**30]}), x=FLOAT).inputs["x"] == np.float32(1e30)


def test_plain_values_for_several_inputs():
    for body in ('{"inputs": ["a"]}', '{"instances": ["a"]}'):
        with pytest.raises(RequestError, match="an object with the keys 'sensor, signal, tag'"):
            parse(body, **NAMED)
