import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert.layers import backends
from kerasbert.tasks.cross_entropy import CrossEntropy, accuracy, cross_entropy
from kerasbert.tasks.z_loss import CrossEntropyWithZLoss, masked_token_loss

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(3, 4, 50)).astype("float32")
LABELS = RANDOM.integers(0, 50, (3, 4))
WEIGHTS = RANDOM.integers(0, 3, (3, 4)).astype("float32")


def loss_and_gradient(loss):
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(LABELS, logits, WEIGHTS)
    return value, tape.gradient(value, logits)


@pytest.mark.parametrize("compiled", [False, True])
def test_loss_is_that_of_keras(compiled, monkeypatch):
    seen = []
    monkeypatch.setattr(backends, "compiles", lambda *x: seen.append(x) or compiled)
    plain = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    for ours, expected in zip(
        loss_and_gradient(cross_entropy("of")), loss_and_gradient(plain), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-7)
    assert len(seen) == 1


def test_compiled_loss_of_an_invalid_class(monkeypatch):
    monkeypatch.setattr(backends, "compiles", lambda *x: True)
    losses = CrossEntropy(reduction="none")([0, 50, -1, 49], LOGITS[0])
    np.testing.assert_array_equal(np.isnan(losses), [False, True, True, False])


def test_compiled_loss_of_large_logits(monkeypatch):
    monkeypatch.setattr(backends, "compiles", lambda *x: True)
    logits = np.float32([[1e4, 0.0, -1e4], [1e4, 1e4, 1e4]])
    losses = CrossEntropy(reduction="none")([1, 2], logits)
    np.testing.assert_allclose(losses, [1e4, np.log(3)], rtol=1e-4)


def test_loss_can_be_saved():
    loss = cross_entropy("of")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert float(again(LABELS, LOGITS)) == float(loss(LABELS, LOGITS))


def test_accuracy_is_that_of_keras():
    logits = np.round(LOGITS)  # with many equal values
    labels = np.argmax(logits, axis=-1)
    labels[0] = LABELS[0]
    ours, plain = accuracy(), keras.metrics.SparseCategoricalAccuracy()
    ours = keras.metrics.deserialize(keras.metrics.serialize(ours))
    for metric in (ours, plain):
        metric.update_state(labels, logits, WEIGHTS)
    assert 0.3 < float(plain.result()) < 1
    assert float(ours.result()) == float(plain.result())


@pytest.mark.parametrize("compiled", [False, True])
def test_labels_may_have_a_last_axis(compiled, monkeypatch):
    monkeypatch.setattr(backends, "compiles", lambda *x: compiled)
    labels, logits = LABELS[0], LOGITS[0]
    loss = cross_entropy("of")
    assert float(loss(labels[:, None], logits)) == float(loss(labels, logits))
    metric = accuracy()
    metric.update_state(np.argmax(logits, axis=-1)[:, None], logits)
    assert float(metric.result()) == 1


def test_z_loss_and_its_gradient():
    exact, loss = 3 * LOGITS.astype("float64"), CrossEntropyWithZLoss(0.01)
    log_sum = np.log(np.exp(exact).sum(-1))
    right = np.take_along_axis(exact, LABELS[..., None], -1)[..., 0]
    logits = tf.constant(3 * LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = loss.call(LABELS, logits)
        total = tf.reduce_sum(losses)
    np.testing.assert_allclose(losses, log_sum - right + 0.01 * log_sum**2, rtol=1e-5)
    softmax = np.exp(exact - log_sum[..., None])
    expected = softmax * (1 + 0.02 * log_sum[..., None]) - np.eye(50)[LABELS]
    np.testing.assert_allclose(tape.gradient(total, logits), expected, atol=1e-5)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    np.testing.assert_array_equal(restored.call(LABELS, logits), losses)
    assert type(masked_token_loss("masked_token")) is CrossEntropy
