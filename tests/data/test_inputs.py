"""The forms in which people have text and labels, and what is said of those that can't be read."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import InputError
from kerasbert.data.inputs import (
    has_own_order,
    is_missing,
    is_stream,
    numbers,
    plain,
    raw_columns,
)
from kerasbert.data.pretraining.drawn import DrawnBatches

ONE, PAIR = (("text",),), (("text", "text_pair"),)
EITHER = (*ONE, *PAIR, ("text", "text_pair", "text_negative"))
WORDS, ASKED = (("words",), ("text",)), (("question", "context"),)
CHOICES = (("text", "choices"),)
A, B, C = ["a", "b", "é"], ["x", "y", "z"], ["k", "l", "m"]


class Series:
    """What pandas' and polars' have in common."""

    def __init__(self, values, dtype="object"):
        self.values, self.dtype = list(values), np.dtype(dtype)
        self.shape, self.ndim = (len(self.values),), 1

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def to_list(self):
        return list(self.values)


class Frame:
    """Likewise, of columns."""

    def __init__(self, **columns):
        self.columns, self._columns = list(columns), columns

    def __getitem__(self, name):
        return Series(self._columns[name])

    def __len__(self):
        return 3


FORMS = {
    "string": (ONE, "a", {"text": ["a"]}),
    "bytes": (ONE, b"a", {"text": [b"a"]}),
    "NumPy string": (ONE, np.str_("a"), {"text": ["a"]}),
    "no axis": (ONE, np.array("a"), {"text": ["a"]}),
    "list": (ONE, A, {"text": A}),
    "tuple": (ONE, ("a", "b"), {"text": ["a", "b"]}),
    "array": (ONE, np.array(A), {"text": A}),
    "objects": (ONE, np.array(A, object), {"text": A}),
    "column": (ONE, np.array(A)[:, None], {"text": A}),
    "series": (ONE, Series(A), {"text": A}),
    "frame": (ONE, Frame(text=A, label=[0, 1, 0]), {"text": A}),
    "records": (ONE, [{"text": "a"}, {"text": "b"}], {"text": ["a", "b"]}),
    "views": (ONE, dict.fromkeys(A).keys(), {"text": A}),
    "nothing": (ONE, [], {"text": []}),
    "nothing in an array": (ONE, np.array([]), {"text": []}),
    "half of a pair of surrogates": (ONE, ["a \ud800"], {"text": ["a \ufffd"]}),
    "None for a column": (ONE, {"text": A, "text_pair": None}, {"text": A}),
    "pair": (PAIR, ("a", "x"), {"text": ["a"], "text_pair": ["x"]}),
    "dict of a pair": (PAIR, {"text_pair": "x", "text": "a"}, {"text": ["a"], "text_pair": ["x"]}),
    "columns": (PAIR, (A, np.array(B)), {"text": A, "text_pair": B}),
    "rows": (PAIR, list(zip(A, B, strict=True)), {"text": A, "text_pair": B}),
    "lists as rows": (PAIR, [["a", "x"]] * 3, {"text": ["a"] * 3, "text_pair": ["x"] * 3}),
    "array of rows": (PAIR, np.array([A, B]).T, {"text": A, "text_pair": B}),
    "2 x 2 array": (PAIR, np.array([A, B]).T[:2], {"text": A[:2], "text_pair": B[:2]}),
    "frame of pairs": (PAIR, Frame(id=[1, 2, 3], text_pair=B, text=A), {"text": A, "text_pair": B}),
    "no pairs": (PAIR, [], {"text": [], "text_pair": []}),
    "one of either": (EITHER, A, {"text": A}),
    "three columns": (EITHER, (A, B, C), {"text": A, "text_pair": B, "text_negative": C}),
    "three texts": (EITHER, ("a", "b", "é"), {"text": A}),
    "words": (WORDS, [["a", "b"], [], ("é",)], {"words": [["a", "b"], [], ["é"]]}),
    "series of lists": (
        WORDS,
        Series([["a", "b"], np.array(["é"])]),
        {"words": [["a", "b"], ["é"]]},
    ),
    "tuple of sentences": (WORDS, (["a", "b"], ["é"]), {"words": [["a", "b"], ["é"]]}),
    "text of a tagger": (WORDS, ("a", "b"), {"text": ["a", "b"]}),
    "question": (ASKED, ("a", "x"), {"question": ["a"], "context": ["x"]}),
    "choices": (CHOICES, ("a", ["x", "y"]), {"text": ["a"], "choices": [["x", "y"]]}),
    "choices of several": (
        CHOICES,
        {"text": ["a", "b"], "choices": [["x"], ()]},
        {"text": ["a", "b"], "choices": [["x"], []]},
    ),
}


@pytest.mark.parametrize(("accepted", "x", "expected"), FORMS.values(), ids=FORMS)
def test_forms(accepted, x, expected):
    found = raw_columns(x, accepted, "model")
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("accepted", "x", "expected"),
    [
        (ONE, tf.constant("a"), {"text": [b"a"]}),
        (ONE, tf.constant(["a", "b"]), {"text": [b"a", b"b"]}),
        (ONE, tf.constant([["a"], ["b"]]), {"text": [b"a", b"b"]}),
        (ONE, [tf.constant("a"), "b"], {"text": [b"a", "b"]}),
        (PAIR, tf.constant([["a", "x"]]), {"text": [b"a"], "text_pair": [b"x"]}),
        (WORDS, tf.ragged.constant([["a"], []]), {"words": [[b"a"], []]}),
    ],
)
def test_tensors(accepted, x, expected):
    found = raw_columns(x, accepted, "model")
    assert {name: plain(column) for name, column in found.items()} == expected


def test_what_is_given_stays_as_it_was():
    texts, rows = ["a", "\ud800"], [["a", "b"]]
    raw_columns(texts, ONE, "model")
    raw_columns(rows, WORDS, "model")
    assert (texts, rows) == (["a", "\ud800"], [["a", "b"]])


REFUSED = {
    "None": (ONE, None, "model takes text; found None"),
    "missing": (ONE, ["a", None], "text[1] is missing (None); remove the row"),
    "NaN": (ONE, Series(["a", float("nan")]), "text[1] is missing (nan); remove the row"),
    "number": (ONE, ["a", 3], "text[1] must be a string, found 3 (int)"),
    "numbers": (ONE, np.array([1.5, 2.0]), "text[0] must be a string, found 1.5 (float)"),
    "set": (ONE, {"a"}, "model takes text; found {'a'} (set); convert it to a list"),
    "generator": (ONE, (x for x in A), "(generator); convert it to a list"),
    "dataset": (ONE, tf.data.Dataset.from_tensors(["a"]), "in fit, evaluate and predict only"),
    "symbol": (ONE, keras.Input((), dtype="string"), "model takes text; found <KerasTensor"),
    "other key": (
        ONE,
        {"txt": A},
        'takes text; found txt; pass the column of texts, such as x["txt"]',
    ),
    "other column": (ONE, Frame(body=A), "takes text; found body; ready features are"),
    "no key": (ONE, {}, "takes text; found no column"),
    "columns": (ONE, (A, B), "takes text; found text and text_pair; hint"),
    "rows": (ONE, [("a", "x")], "takes text; found text and text_pair; hint"),
    "words": (ONE, [["a"], ["b", "c"]], "found a list of lists, but rows must be of one string"),
    "one text": (PAIR, A, "takes text and text_pair; found text alone"),
    "rows or columns": (PAIR, [A[:2], B[:2]], "2 lists of 2 strings can be rows or columns"),
    "uneven rows": (PAIR, [("a", "x"), ("a",)], "rows must be of 2 strings each"),
    "uneven columns": (PAIR, (A, B[:1]), "text has 3 rows, but text_pair has 1"),
    "one and many": (PAIR, {"text": A, "text_pair": "x"}, "text_pair is one string, but text is a"),
    "records": (ONE, [{"text": "a"}, {"txt": "b"}], "model: row 1 is not a dict of text"),
    "string among lists": (WORDS, [["a"], "b"], "words[1] must be a list of strings, found 'b'"),
    "number among words": (WORDS, [["a", 3]], "words[0][1] must be a string, found 3 (int)"),
    "words as texts": (WORDS, {"words": ["a b"]}, "words[0] must be a list of strings"),
    "question alone": (ASKED, A, "takes question and context; found question alone"),
    "pair for words": (WORDS, {"text": A, "text_pair": B}, "takes words or text; found text and"),
    "deep tensor": (
        ONE,
        tf.ragged.constant([["a"], []]),
        "text must have rank 1, found shape (2, None)",
    ),
}


@pytest.mark.parametrize(("accepted", "x", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_in_one_line(accepted, x, message):
    with pytest.raises(InputError) as caught:
        raw_columns(x, accepted, "model", "; hint")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_tables_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": A, "text_pair": B, "n": [1, 2, 3]}, index=[5, 6, 7])
    assert raw_columns(frame, PAIR, "model") == {"text": A, "text_pair": B}
    assert raw_columns(frame["text"].astype("string"), ONE, "model") == {"text": A}
    assert raw_columns(frame["text"].astype("category"), ONE, "model") == {"text": A}
    with pytest.raises(InputError, match=r"text\[1\] is missing"):
        raw_columns(pandas.Series(["a", pandas.NA], dtype="string"), ONE, "model")
    assert plain(frame["n"][1:]) == [2, 3]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (Series([1, 2]), [1, 2]),
        (Frame(y=["a"]), ["a"]),
        ("good", ["good"]),
        (3, [3]),
        (("a", "b"), ["a", "b"]),
        (np.array(["a"]), ["a"]),
        (tf.constant(["a"]), [b"a"]),
        (tf.ragged.constant([[1], []]), [[1], []]),
    ],
)
def test_plain(values, expected):
    assert plain(values) == expected


def test_numbers():
    assert numbers("y", Series([1, 2.5])).tolist() == [1.0, 2.5]
    assert numbers("y", np.array([[1], [2]])).shape == (2, 1)
    for bad, message in (
        ([1, None], r"y\[1\] must be a number, found None"),
        ([1.0, float("nan")], r"y\[1\] must be a number, found nan"),
        (np.array([0.0, np.inf]), r"y\[1\] must be a number, found .*inf"),
        (["a"], r"y\[0\] must be a number, found 'a'"),
        ([[1], [1, 2]], "y must be numbers, the same number of them for each example"),
        (Frame(a=A, b=B), "labels must be one column, found a table of a, b"),
    ):
        with pytest.raises(InputError, match=message):
            numbers("y", bad)


def test_missing_and_streams():
    assert all(map(is_missing, (None, float("nan"), np.float32("nan"))))
    assert not any(map(is_missing, ("", 0, "nan", [])))
    assert is_stream(x for x in A)
    assert not any(map(is_stream, (A, "a", np.array(A), tf.data.Dataset.from_tensors(A), None)))
    drawn = DrawnBatches(lambda step: (step,))  # each batch belongs to its step
    assert all(map(has_own_order, (drawn, drawn.take(3), iter(A), tf.data.Dataset.range(3))))
    assert not any(map(has_own_order, (A, keras.utils.PyDataset())))
