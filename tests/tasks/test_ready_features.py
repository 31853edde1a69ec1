"""Features that users computed themselves: lists are taken, wrong ones are refused in one line."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import InputError, MultipleChoice, TextClassifier, TextEmbedder

IDS = [[2, 5, 7, 8, 3], [2, 5, 6, 3, 0]]
MASK = [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
LABELS = np.array([0, 1])
CALLS = {
    "call": lambda task, x: task(x),
    "fit": lambda task, x: task.fit(x, LABELS, verbose=0),
    "evaluate": lambda task, x: task.evaluate(x, LABELS, verbose=0),
    "predict": lambda task, x: task.predict(x, verbose=0),
    "train_on_batch": lambda task, x: task.train_on_batch(x, LABELS),
    "test_on_batch": lambda task, x: task.test_on_batch(x, LABELS),
    "predict_on_batch": lambda task, x: task.predict_on_batch(x),
    "validation_data": lambda task, x: task.fit(
        np.array(IDS), LABELS, validation_data=(x, LABELS), verbose=0
    ),
    "stream": lambda task, x: task.fit(iter([(x, LABELS)] * 2), steps_per_epoch=1, verbose=0),
    "backbone": lambda task, x: task.backbone(x),
}
WRONG = {
    "other lengths": ({"token_ids": [[2, 3], [2, 5, 3]]}, "rows of different lengths; pad them"),
    "ragged": ({"token_ids": tf.ragged.constant([[2, 3], [2, 5, 3]])}, "is ragged; pad it"),
    "large": ({"token_ids": [[2, 1000], [2, 3]]}, r"token_ids must be in \[0, \d+\), found 1000"),
    "negative": ({"token_ids": np.array([[2, -1], [2, 3]])}, "token_ids must be .* found -1"),
    "fraction": ({"token_ids": np.array([[2, 0.5]] * 2)}, "whole numbers, found float64"),
    "text": ({"token_ids": [["a", "b"]] * 2}, "token_ids must be whole numbers"),
    "flat": ({"token_ids": IDS[0]}, r"shape \(batch, sequence\), found \(5\)"),
    "deep": ({"token_ids": np.array([[IDS]])}, r"\(batch, sequence\), found \(1, 1, 2, 5\)"),
    "empty rows": ({"token_ids": np.zeros((2, 0), "int32")}, "rows without tokens"),
    "long": (
        {"token_ids": np.full((2, 600), 5)},
        "has 600 tokens per row, but max_seq",
    ),
    "mask's shape": ({"token_ids": IDS, "padding_mask": np.ones((2, 4), "int32")}, r"\(2, 5\).*4"),
    "mask's value": ({"token_ids": IDS, "padding_mask": IDS}, r"padding_mask must be in \[0, 2\)"),
    "segment": (
        {"token_ids": IDS, "segment_ids": IDS},
        r"segment_ids must .* found 2",
    ),
    "other name": ({"token_ids": IDS, "attention_mask": MASK}, "it is 'padding_mask' here"),
    "another": ({"token_ids": IDS, "token_type_ids": MASK}, "it is 'segment_ids' here"),
}


@pytest.fixture
def task(tiny_backbone, tokenizer):
    task = TextClassifier(tiny_backbone(tokenizer), ["bad", "good"], tokenizer=tokenizer)
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return task


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", WRONG)
def test_refused(task, call, wrong):
    x, message = WRONG[wrong]
    with pytest.raises(InputError, match=message) as caught:
        CALLS[call](task, x)
    assert "\n" not in str(caught.value)


def test_datasets_with_other_names(task):
    data = tf.data.Dataset.from_tensors(({"token_ids": IDS, "input_mask": MASK}, LABELS))
    for call in (task.fit, task.evaluate, task.predict):
        with pytest.raises(InputError, match="'input_mask'; it is 'padding_mask' here"):
            call(data, verbose=0)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "x",
    [
        {"token_ids": IDS, "padding_mask": MASK},
        {"token_ids": np.array(IDS, "float64"), "padding_mask": np.array(MASK, bool)},
        {
            "token_ids": tuple(map(tuple, IDS)),
            "padding_mask": tf.constant(MASK),
            "segment_ids": None,
        },
    ],
    ids=["lists", "arrays", "mixed"],
)
def test_taken(task, call, x):
    CALLS[call](task, x)


def test_lists_and_arrays_have_equal_outputs(task):
    arrays = {"token_ids": np.array(IDS, "int32"), "padding_mask": np.array(MASK, "int32")}
    lists = {"token_ids": IDS, "padding_mask": MASK}
    expected = task.predict(arrays, verbose=0)
    for found in (task.predict(lists, verbose=0), task(lists), task.predict_on_batch(lists)):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        task.predict(IDS, verbose=0), task.predict(arrays["token_ids"], verbose=0), atol=1e-6
    )


def test_no_rows(task):
    assert task.predict({"token_ids": np.zeros((0, 5), "int32")}, verbose=0).shape == (0, 2)


def test_several_texts_per_example(tiny_backbone, tokenizer):
    embedder = TextEmbedder(tiny_backbone(tokenizer), tokenizer=tokenizer)
    assert embedder({"token_ids": [IDS]}).shape[:2] == (1, 2)
    with pytest.raises(InputError, match=r"found \(1, 1, 2, 5\)"):
        embedder({"token_ids": [[IDS]]})
    choices = MultipleChoice(tiny_backbone(tokenizer), tokenizer=tokenizer)
    assert choices({"token_ids": [IDS]}).shape == (1, 2)
    with pytest.raises(InputError, match=r"\(batch, choices, sequence\), found \(2, 5\)"):
        choices({"token_ids": IDS})


def test_segments_that_a_model_ignores(tiny_backbone, tokenizer):
    backbone = tiny_backbone(tokenizer, num_segments=1)
    backbone({"token_ids": IDS, "segment_ids": MASK})
