"""What drawing and masking batches needs of TensorFlow; `array_ops` does the same in NumPy.

The functions are those of TensorFlow or NumPy that have these names, unless they say more.
"""

from __future__ import annotations

from kerasbert.lazy import tensorflow as tf


def where(condition, x, y) -> tf.Tensor:
    """Elements of `x` where the condition holds, else of `y`."""
    return tf.where(condition, x, y)


def minimum(x, y) -> tf.Tensor:
    """The smaller elements."""
    return tf.minimum(x, y)


def maximum(x, y) -> tf.Tensor:
    """The larger elements."""
    return tf.maximum(x, y)


def cast(x, dtype: str) -> tf.Tensor:
    """With another dtype."""
    return tf.cast(x, dtype)


def arange(count: int, dtype: str = "int32") -> tf.Tensor:
    """The numbers from 0 on."""
    return tf.range(count, dtype=dtype)


def gather(values, index) -> tf.Tensor:
    """The values at an index, along the first axis."""
    return tf.gather(values, index)


def gather_in_rows(values, index) -> tf.Tensor:
    """The values of each row at the index of the row."""
    return tf.gather(values, index, batch_dims=1)


def last_at_or_before(bounds, places) -> tf.Tensor:
    """For each place, the index of the last of the rising `bounds` that is not beyond it; int64."""
    return tf.searchsorted(bounds, places, "right", tf.int64) - 1


def first_and_last_like(rows) -> tuple[tf.Tensor, tf.Tensor]:
    """For each element of rising rows, where the first and the last of its value are; int32."""
    return tf.searchsorted(rows, rows), tf.searchsorted(rows, rows, side="right") - 1


def positions_like(rows) -> tf.Tensor:
    """Where each element is in its row; int32."""
    return tf.broadcast_to(tf.range(rows.shape[1]), tf.shape(rows))


def sort(rows) -> tf.Tensor:
    """Each row in rising order."""
    return tf.sort(rows, axis=1)


def ranks(rows) -> tf.Tensor:
    """Which place each element would have in its row, if that was sorted; int32."""
    return tf.argsort(tf.argsort(rows, axis=1, stable=True), axis=1)


def cumsum(rows) -> tf.Tensor:
    """Sums from the beginning of each row on."""
    return tf.cumsum(rows, axis=1)


def count_true(rows) -> tf.Tensor:
    """How many elements of each row are true: float32, (rows, 1)."""
    return tf.reduce_sum(tf.cast(rows, tf.float32), axis=1, keepdims=True)


def rounded(x) -> tf.Tensor:
    """The next integers, of two the even one."""
    return tf.round(x)


def after_first(rows, first: bool) -> tf.Tensor:
    """Rows moved by one element, with `first` at the beginning."""
    return tf.pad(rows[:, :-1], [[0, 0], [1, 0]], constant_values=first)


def put(rows, positions, values, used) -> tf.Tensor:
    """Rows with other values at some positions of each, where those are used."""
    row = tf.broadcast_to(tf.range(tf.shape(rows)[0])[:, tf.newaxis], tf.shape(positions))
    index = tf.stack([tf.boolean_mask(row, used), tf.boolean_mask(positions, used)], axis=1)
    changed = tf.tensor_scatter_nd_update(rows, index, tf.boolean_mask(values, used))
    return tf.ensure_shape(changed, rows.shape)


# === Random numbers ===


def seed_of(*parts) -> tf.Tensor:
    """A seed of integers."""
    return tf.stack([tf.cast(part, tf.int64) for part in parts])


def split_seed(seed, count: int) -> list:
    """Other seeds, of one."""
    return tf.unstack(tf.random.experimental.stateless_split(seed, count))


def uniform(like, seed, dtype: str = "float32") -> tf.Tensor:
    """Numbers in [0, 1), as many as `like` has elements."""
    return tf.random.stateless_uniform(tf.shape(like), seed, dtype=dtype)


def integers(like, seed, limit: int) -> tf.Tensor:
    """Numbers from 0 to below a limit, int32."""
    return tf.random.stateless_uniform(tf.shape(like), seed, 0, limit, dtype=tf.int32)


def shuffled(index, seed: int, epoch, use: int, size: int) -> tf.Tensor:
    """Where indices below `size` go in a permutation that three numbers decide; all int64."""

    def each(value):
        return tf.broadcast_to(tf.cast(value, tf.int64), tf.shape(index))

    # The op itself: its wrapper, tf.random.experimental.index_shuffle, takes but one seed.
    return tf.raw_ops.RandomIndexShuffle(
        index=index,
        seed=tf.stack([each(seed), epoch, each(use)], 1),
        max_index=tf.constant(size - 1, tf.int64),
        rounds=16,  # with 4, few windows are hardly shuffled
    )
