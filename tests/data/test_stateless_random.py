"""NumPy's numbers are those of TensorFlow's ops."""

import numpy as np
import pytest
import tensorflow as tf

from kerasbert.data import graph_ops, stateless_random

SEEDS = [(0, 0), (3, 5), (-1, 2**40), (2**63 - 1, -(2**63))]


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers(seed):
    tensor, seed = tf.constant(seed, tf.int64), stateless_random.seed_of(*seed)
    for shape in ([1], [7], [9, 130]):
        for dtype in ("float32", "float64"):
            expected = tf.random.stateless_uniform(shape, tensor, dtype=dtype)
            found = stateless_random.uniform(shape, seed, np.dtype(dtype).type)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == dtype
        expected = tf.random.stateless_uniform(shape, tensor, 0, 997, dtype=tf.int32)
        np.testing.assert_array_equal(stateless_random.integers(shape, seed, 997), expected)
    expected = tf.random.experimental.stateless_split(tensor, 3)
    np.testing.assert_array_equal(stateless_random.split(seed, 3), expected)


# One index; indices that need the fewest bits; powers of two, for which TensorFlow's op is wrong.
@pytest.mark.parametrize("largest", [0, 1, 100, 255, 65_535, 65_536, 100_000, 2**24, 2**33 + 5])
@pytest.mark.parametrize("seed", [(0, 0, 0), (1, 2, 3), (2**32 - 1, 10**12, 7)])
def test_permutations(largest, seed):
    index = np.unique(np.random.default_rng(0).integers(0, max(largest, 1), 40))
    seeds = np.tile(np.int64(seed), (len(index), 1))
    expected = graph_ops.index_shuffle(tf.constant(index, tf.int64), seeds, largest)
    found = stateless_random.index_shuffle(index, seed, largest)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [2, 3, 5, 1000, 2**16, 2**16 + 1, 2**17 + 1, 2**18 + 1])
def test_every_index_comes_once(size):
    seeds = tf.tile(tf.constant([[1, 2, 3]], tf.int64), [size, 1])
    found = graph_ops.index_shuffle(tf.range(size, dtype=tf.int64), seeds, size - 1)
    np.testing.assert_array_equal(np.sort(found), np.arange(size))
