"""The ops for drawing and masking batches in TensorFlow; `array_ops` has the same in NumPy."""

from __future__ import annotations

from typing import Any

from kerasbert.lazy import tensorflow as tf


def where(condition: Any, x: Any, y: Any) -> tf.Tensor:
    """Returns elements of `x` where the condition is true, and of `y` elsewhere."""
    return tf.where(condition, x, y)


def minimum(x: Any, y: Any) -> tf.Tensor:
    """Returns the element-wise minimum."""
    return tf.minimum(x, y)


def maximum(x: Any, y: Any) -> tf.Tensor:
    """Returns the element-wise maximum."""
    return tf.maximum(x, y)


def cast(x: Any, dtype: str) -> tf.Tensor:
    """Converts to another dtype."""
    return tf.cast(x, dtype)


def arange(count: int, dtype: str = "int32") -> tf.Tensor:
    """Returns the integers from 0 to below `count`."""
    return tf.range(count, dtype=dtype)


def gather(values: Any, index: Any) -> tf.Tensor:
    """Returns the values at an index along the first axis."""
    return tf.gather(values, index)


def gather_in_rows(values: Any, index: Any) -> tf.Tensor:
    """Returns, for each row, the values at the row's indices."""
    return tf.gather(values, index, batch_dims=1)


def last_at_or_before(bounds: Any, positions: Any) -> tf.Tensor:
    """Returns, for each position, the index of the last of the ascending `bounds` up to it."""
    if positions.shape.rank > 1:
        flat = last_at_or_before(bounds, tf.reshape(positions, [-1]))
        return tf.reshape(flat, tf.shape(positions))
    return tf.searchsorted(bounds, positions, "right", tf.int64) - 1


def last_at_or_before_in_rows(bounds: Any, positions: Any) -> tf.Tensor:
    """Does what `last_at_or_before` does, with each row's own bounds; int32."""
    return tf.searchsorted(bounds, positions, "right") - 1


def first_and_last_like(rows: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the index of the first and the last equal element of each element in sorted rows."""
    return tf.searchsorted(rows, rows), tf.searchsorted(rows, rows, side="right") - 1


def positions_like(rows: Any) -> tf.Tensor:
    """Returns the position of each element in its row; int32."""
    return tf.broadcast_to(tf.range(rows.shape[1]), tf.shape(rows))


def sort(rows: Any) -> tf.Tensor:
    """Sorts each row in ascending order."""
    return tf.sort(rows, axis=1)


def ranks(rows: Any) -> tf.Tensor:
    """Returns the position of each element in its sorted row; int32."""
    return tf.argsort(tf.argsort(rows, axis=1, stable=True), axis=1)


def cumsum(rows: Any) -> tf.Tensor:
    """Returns the cumulative sums of each row."""
    return tf.cumsum(rows, axis=1)


def count_true(rows: Any) -> tf.Tensor:
    """Counts the true elements of each row: float32, (rows, 1)."""
    return tf.reduce_sum(tf.cast(rows, tf.float32), axis=1, keepdims=True)


def rounded(x: Any) -> tf.Tensor:
    """Rounds to the nearest integers, half to even."""
    return tf.round(x)


def after_first(rows: Any, first: bool) -> tf.Tensor:
    """Shifts rows by one element to the right and sets the first element to `first`."""
    return tf.pad(rows[:, :-1], [[0, 0], [1, 0]], constant_values=first)


def put(rows: Any, positions: Any, values: Any, used: Any) -> tf.Tensor:
    """Replaces the values at some positions of each row, where `used` is true."""
    row = tf.broadcast_to(tf.range(tf.shape(rows)[0])[:, tf.newaxis], tf.shape(positions))
    index = tf.stack([tf.boolean_mask(row, used), tf.boolean_mask(positions, used)], axis=1)
    changed = tf.tensor_scatter_nd_update(rows, index, tf.boolean_mask(values, used))
    return tf.ensure_shape(changed, rows.shape)


# === Random numbers ===


def seed_of(*parts: Any) -> tf.Tensor:
    """Makes a seed of integers: int64."""
    return tf.stack([tf.cast(part, tf.int64) for part in parts])


def split_seed(seed: Any, count: int) -> list[Any]:
    """Derives `count` independent seeds from one."""
    return tf.unstack(tf.random.experimental.stateless_split(seed, count))


def uniform(like: Any, seed: Any, dtype: str = "float32") -> tf.Tensor:
    """Draws numbers in [0, 1), of the shape of `like`."""
    return tf.random.stateless_uniform(tf.shape(like), seed, dtype=dtype)


def integers(like: Any, seed: Any, limit: int) -> tf.Tensor:
    """Draws integers from 0 to below `limit`, int32, of the shape of `like`."""
    return tf.random.stateless_uniform(tf.shape(like), seed, 0, limit, dtype=tf.int32)


def shuffled(index: Any, seed: int, epoch: Any, use: int, size: int) -> tf.Tensor:
    """Returns indices below `size` permuted; (seed, epoch, use) determines it; all int64."""

    def each(value):
        return tf.broadcast_to(tf.cast(value, tf.int64), tf.shape(index))

    return index_shuffle(index, tf.stack([each(seed), epoch, each(use)], 1), size - 1)


def index_shuffle(index: Any, seeds: Any, largest: Any) -> tf.Tensor:
    """Permutes the integers from 0 to `largest`.

    TensorFlow's op takes one bit too few where `largest` is a power of two: it then returns one
    index twice and another one never. So one index more is permuted there, and passed over.

    Args:
        index: int64, (rows,).
        seeds: int64, (rows, 3); each row's determine its permutation.
        largest: integer, or an int64 scalar.

    Returns:
        int64, (rows,).
    """
    largest = tf.cast(largest, tf.int64)
    is_power = tf.equal(tf.bitwise.bitwise_and(largest, largest - 1), 0) & (largest > 0)
    last = largest + tf.cast(is_power, tf.int64)

    def shuffle(index):
        # The op itself, because its wrapper tf.random.experimental.index_shuffle takes one seed.
        # With 4 rounds, its default, fewer than 1000 indices stay almost in order.
        limits = tf.fill(tf.shape(index), last)
        return tf.raw_ops.RandomIndexShuffle(index=index, seed=seeds, max_index=limits, rounds=16)

    found = shuffle(index)
    return tf.where(found > largest, shuffle(tf.fill(tf.shape(index), last)), found)
