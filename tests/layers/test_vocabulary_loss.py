import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kerasbert.layers import MLMHead, vocabulary_loss
from kerasbert.layers.vocabulary_loss import labels_given, outcomes
from kerasbert.tasks.cross_entropy import CrossEntropy, is_right

RANDOM = np.random.default_rng(0)
POSITIONS, WIDTH, VOCABULARY = 40, 12, 333
VECTORS, TABLE = RANDOM.normal(size=(POSITIONS, WIDTH)), RANDOM.normal(size=(VOCABULARY, WIDTH))
BIAS = RANDOM.normal(size=VOCABULARY).astype("float32")
WEIGHTS = RANDOM.choice([0.0, 0.5, 2.0], POSITIONS).astype("float32")
# Half of the labels are right.
LABELS = np.argmax(VECTORS @ TABLE.T + BIAS, axis=-1)
LABELS[::2] = RANDOM.integers(0, VOCABULARY, POSITIONS // 2)
LABELS = LABELS.astype("int32")


def plain(vectors, table, bias, labels=LABELS):
    """The outcomes from all logits."""
    logits = ops.cast(ops.matmul(vectors, ops.transpose(table)), "float32") + bias
    loss = CrossEntropy(reduction=None).call(labels, logits)
    return ops.stack([loss, is_right(labels, logits)], axis=-1)


def in_parts(parts, labels=LABELS):
    return lambda *inputs: outcomes(*inputs, tf.constant(labels), parts)


def found(function, dtype="float32"):
    """Outcomes and gradients, in float32."""
    inputs = [tf.cast(VECTORS, dtype), tf.cast(TABLE, dtype), tf.constant(BIAS)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outcome = function(*inputs)
        loss = tf.reduce_sum(outcome[:, 0] * WEIGHTS) / np.sum(WEIGHTS)
    gradients = tape.gradient(loss, inputs)
    assert [g.dtype for g in gradients] == [x.dtype for x in inputs]
    return [tf.cast(x, tf.float32).numpy() for x in (outcome, *gradients)]


@pytest.mark.parametrize("parts", [1, 2, 5])  # the last part of 5 is narrower than the others
def test_as_from_all_logits(parts):
    expected = found(plain)
    assert 0.5 <= expected[0][:, 1].mean() < 0.6
    for ours, theirs in zip(found(in_parts(parts)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("parts", [2, 5])
def test_bfloat16_is_as_near_to_float32(parts):
    exact, theirs, ours = found(plain), found(plain, "bfloat16"), found(in_parts(parts), "bfloat16")
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
    for number in (1, 2, 3):
        errors = [np.abs(one[number] - exact[number]).mean() for one in (ours, theirs)]
        assert errors[0] <= errors[1] * 1.2  # each part of a sum is rounded


def test_equal_logits_and_labels_outside():
    labels = np.array([0, 70, 200, -1, VOCABULARY, 3], "int32")
    vectors, table = tf.zeros((6, WIDTH)), tf.ones((VOCABULARY, WIDTH))
    bias = np.zeros(VOCABULARY, "float32")
    bias[[70, 71, 200]] = 1.0  # the first of the highest is right
    outcome = outcomes(vectors, table, tf.constant(bias), tf.constant(labels), 5).numpy()
    assert outcome[:, 1].tolist() == [0, 1, 0, 0, 0, 0]
    np.testing.assert_array_equal(np.isnan(outcome[:, 0]), [0, 0, 0, 1, 1, 0])


def shapes_in_memory(function) -> set[str]:
    """The shapes of what a program compiled by XLA keeps in memory, outside of fused loops."""

    @tf.function(jit_compile=True, autograph=False)
    def step(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(function(*inputs)[:, 0])
        return loss, tape.gradient(loss, inputs)

    inputs = tf.constant(VECTORS, "float32"), tf.constant(TABLE, "float32"), tf.constant(BIAS)
    text = step.experimental_get_compiler_ir(*inputs)(stage="optimized_hlo")
    computations = re.split(r"\n(?=\S)", text)
    kept = [one for one in computations if not one.startswith("%fused")]
    return set(re.findall(r"f32\[[\d,]+\]", "".join(kept)))


def test_not_all_logits_are_kept():
    logits = {f"f32[{POSITIONS},{VOCABULARY}]", f"f32[{VOCABULARY},{POSITIONS}]"}
    assert shapes_in_memory(plain) & logits
    kept = shapes_in_memory(in_parts(5))
    assert f"f32[{POSITIONS},128]" in kept
    assert not kept & logits


def test_head_with_its_own_table():
    embedding = keras.layers.Embedding(VOCABULARY, WIDTH)
    embedding.build((None, None))
    head = MLMHead(embedding, tied=False)
    x = RANDOM.normal(size=(4, 10, WIDTH)).astype("float32")
    labels = LABELS.reshape(4, 10)
    logits = head(x)
    with labels_given(labels):
        outcome = head(x)
    assert outcome.shape == (4, 10, 1, 2)
    assert vocabulary_loss.given_labels() is None
    loss = CrossEntropy(reduction=None)
    np.testing.assert_allclose(loss.call(labels, outcome), loss.call(labels, logits), rtol=1e-5)
    np.testing.assert_array_equal(is_right(labels, outcome), is_right(labels, logits))
