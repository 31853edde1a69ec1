import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import InputError
from kerasbert.features import is_text, packed, unpacked, with_defaults


def test_defaults_are_filled_in():
    filled = with_defaults(np.array([[2, 7, 3, 0]]))
    assert sorted(filled) == ["padding_mask", "segment_ids", "token_ids"]
    np.testing.assert_array_equal(filled["padding_mask"], [[1, 1, 1, 1]])
    np.testing.assert_array_equal(filled["segment_ids"], [[0, 0, 0, 0]])


def test_given_features_are_kept_and_become_int32():
    given = {
        "token_ids": np.array([[2, 7, 0]], np.int64),
        "padding_mask": np.array([[True, True, False]]),
        "segment_ids": None,
        "mask_positions": [[1]],
    }
    filled = with_defaults(given)
    assert {name: value.dtype for name, value in filled.items()} == dict.fromkeys(given, tf.int32)
    np.testing.assert_array_equal(filled["padding_mask"], [[1, 1, 0]])
    np.testing.assert_array_equal(filled["segment_ids"], [[0, 0, 0]])
    np.testing.assert_array_equal(filled["mask_positions"], [[1]])
    assert given["segment_ids"] is None  # the caller's dict is left alone


def test_symbolic_tensors_stay_symbolic():
    filled = with_defaults({"token_ids": keras.Input((None,), dtype="int32")})
    assert all(isinstance(value, keras.KerasTensor) for value in filled.values())
    assert filled["padding_mask"].shape == (None, None)


def test_token_ids_are_needed():
    with pytest.raises(ValueError, match=r"token_ids.*found.*segment_ids"):
        with_defaults({"segment_ids": [[0]]})


TEXT = [
    ["a", "b"],
    [b"a"],
    ("a", "b", "c"),
    (["a"], ["b"]),
    np.array(["a", "b"]),
    np.array(["a", "b"], object),
    np.array([b"a"]),
    {"text": ["a"]},
    {"text": ["a"], "text_pair": ["b"]},
    tf.constant(["a"]),
    (tf.constant(["a"]), tf.constant(["b"])),
    tf.data.Dataset.from_tensors(["a"]),
    tf.data.Dataset.from_tensors((["a"], [1])),
    tf.data.Dataset.from_tensors(({"text": ["a"], "text_pair": ["b"]}, [1])),
    tf.data.Dataset.from_tensors(((["a"], ["b"]), [1])),
]
OTHERS = [
    "a",
    b"a",
    np.str_("a"),
    [],
    np.array([]),
    [None, "a"],
    [float("nan")],
    [123],
    np.array([1.0, 2.0]),
    [("a", "b")],
    [[]],
    {"a"},
    range(3),
    object(),
    {"input_ids": [[1]]},
    tf.constant("a"),
    tf.ragged.constant([["a"], []]),
    tf.data.Dataset.from_tensors({"sentence": ["a"]}),
]
FEATURES = [
    [[np.int64(1), 2]],
    [np.array([[1, 2]]), np.array([[1, 1]])],
    keras.Input((None,), dtype="int32"),
    tf.data.Dataset.from_tensors({"token_ids": [[1]]}),
    [[1, 2]],
    np.array([[1, 2]]),
    {"token_ids": np.array([[1]])},
    tf.constant([[1]]),
    tf.data.Dataset.from_tensors(({"token_ids": [[1]]}, [1])),
    None,
]


@pytest.mark.parametrize("x", [*TEXT, *OTHERS])
def test_is_text(x):
    """Also what is none: the door for text says so, in one line."""
    assert is_text(x)


@pytest.mark.parametrize("x", FEATURES)
def test_is_not_text(x):
    assert not is_text(x)


IDS, LABELS = [[2, 5, 3], [2, 6, 3]], [0, 1]
SEVERAL = [
    (["a", "b"], LABELS),
    ("a", "good"),
    [["a", "b"], LABELS],
    [[["a", "cat"], ["it"]], [["O", "B"], ["O"]]],
    [(["a", "b"], ["c", "d"]), LABELS],
    [{"text": ["a"], "text_pair": ["b"]}, LABELS],
    [{"token_ids": IDS}, LABELS],
    [IDS, LABELS],
    [np.array(IDS), LABELS],
    [tf.constant(["a", "b"]), LABELS],
]
X_ALONE = [
    ["a", "b"],
    ["a", "b", "c", "d"],
    [b"a", None],
    [("a", "b"), ("c", "d")],
    [{"text": "a", "text_pair": "b"}, {"text": "c", "text_pair": "d"}],
    [{"text": "a", "choices": ["b", "c"]}, {"text": "c", "choices": ["d"]}],
    IDS,
    [np.array(ids) for ids in IDS],
    [tf.constant("a"), tf.constant("b")],
    np.array(["a", "b"]),
    {"text": ["a"]},
    [],
    None,
]


@pytest.mark.parametrize("batch", SEVERAL)
def test_labels_of_a_batch(batch):
    x, y, sample_weight = unpacked(batch)
    assert x is batch[0]
    assert y is batch[1]
    assert sample_weight is None
    assert packed(x, y) == (x, y)


@pytest.mark.parametrize("batch", X_ALONE)
def test_a_list_of_rows_has_no_labels(batch):
    assert unpacked(batch) == (batch, None, None)
    x, y, sample_weight = unpacked((batch,))
    assert x is batch
    assert (y, sample_weight) == (None, None)


def test_too_many_parts():
    with pytest.raises(InputError, match=r"a batch must be \(x, y\) or .*, found 4 values"):
        unpacked((["a"], [0], None, 1))
