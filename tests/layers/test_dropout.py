import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert.layers import Dropout

ONES = np.ones((64, 250), "float32")


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_drops_its_rate_and_keeps_the_mean(rate):
    output = Dropout(rate, seed=3)(ONES, training=True).numpy()
    # Five standard deviations, and half of a 256th.
    dropped = 5 * np.sqrt(rate * (1 - rate) / ONES.size) + 1 / 512
    assert np.mean(output == 0) == pytest.approx(rate, abs=dropped)
    assert output.mean() == pytest.approx(1, abs=5 * np.sqrt(rate / (1 - rate) / ONES.size))
    assert len(np.unique(output)) == 2


def test_masks_repeat_with_the_seed_only():
    first, again, other = (Dropout(0.5, seed=seed) for seed in (1, 1, 2))
    masks = [[layer(ONES, training=True).numpy() for _ in range(2)] for layer in (first, again)]
    np.testing.assert_array_equal(*masks)
    assert np.mean(masks[0][0] != masks[0][1]) == pytest.approx(0.5, abs=0.05)
    assert np.mean(masks[0][0] != other(ONES, training=True)) == pytest.approx(0.5, abs=0.05)


def test_neighbours_are_independent():
    dropped = Dropout(0.5, seed=5)(ONES, training=True).numpy().ravel() == 0
    for distance in (1, 2, 3, 4, 8, 250):
        together = np.mean(dropped[distance:] & dropped[:-distance])
        assert together == pytest.approx(0.25, abs=0.02)


def test_gradient_has_the_same_mask():
    x = tf.constant(ONES)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = Dropout(0.3, seed=1)(x, training=True)
    np.testing.assert_array_equal(tape.gradient(output, x), output)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3, 5), (0, 4)])
@pytest.mark.parametrize("known", [True, False])
def test_any_shape(shape, known):
    spec = tf.TensorSpec(shape if known else None)
    layer = Dropout(0.5, seed=1)
    output = tf.function(lambda x: layer(x, training=True), input_signature=[spec])(tf.ones(shape))
    assert output.shape == shape
    assert set(output.numpy().ravel()) <= {0.0, 2.0}


def test_rates_too_small_for_a_byte_are_those_of_keras():
    ours = Dropout(0.001, seed=7)(np.ones((100, 1000), "float32"), training=True).numpy()
    expected = keras.layers.Dropout(0.001, seed=7)(np.ones((100, 1000), "float32"), training=True)
    np.testing.assert_array_equal(ours, expected)
    assert 20 < np.sum(ours == 0) < 300
