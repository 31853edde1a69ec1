"""Overlapping windows of long rows, with core TensorFlow ops, which every server has."""

from __future__ import annotations

from typing import Any, NamedTuple

from kerasbert.lazy import tensorflow as tf


class Windows(NamedTuple):
    """Windows of ragged rows, in the order of the rows; int64, (windows,).

    Attributes:
        row: the index of the window's row.
        start: the position of its first token in the row.
        length: the number of its tokens.
    """

    row: tf.Tensor
    start: tf.Tensor
    length: tf.Tensor

    def batch(self, first: Any, size: int) -> Windows:
        """Returns at most `size` windows, from number `first` on."""
        return Windows(*(part[first : first + size] for part in self))


def overlapping_windows(lengths: Any, size: Any, stride: Any) -> Windows:
    """Computes the windows of `run_squad.py` in google-research/bert.

    A row without tokens has one window, too.

    Args:
        lengths: int64, (rows,), the number of tokens of each row.
        size: int64, a scalar or (rows,), the number of tokens per window, at least 1.
        stride: integer, at least 1, the number of tokens from the start of a window to the start of
            the next. It is limited to `size`, so that no token is skipped.

    Returns:
        `Windows`.
    """
    size = tf.broadcast_to(tf.cast(size, tf.int64), tf.shape(lengths))
    step = tf.minimum(tf.cast(stride, tf.int64), size)
    beyond = tf.maximum(lengths - size, 0)
    counts = 1 + (beyond + step - 1) // step
    row = tf.repeat(tf.range(tf.size(lengths, tf.int64)), counts)
    start = tf.ragged.range(counts).flat_values * tf.gather(step, row)
    rest = tf.gather(lengths, row) - start
    return Windows(row, start, tf.minimum(tf.gather(size, row), rest))


def by_row(features: dict[str, Any], row: Any, count: Any, fill: dict[str, Any]) -> dict[str, Any]:
    """Puts the features of windows side by side: (windows, tokens) -> (rows, windows, tokens).

    Args:
        features: dict of tensors, (windows, tokens).
        row: int64, (windows,), ascending, the row of each window.
        count: number of rows.
        fill: what missing windows of a row have, by the name of a feature; 0 by default.
    """
    return {
        name: tf.RaggedTensor.from_value_rowids(value, row, nrows=count).to_tensor(
            fill.get(name, 0)
        )
        for name, value in features.items()
    }


def cut(rows: tf.RaggedTensor, windows: Windows) -> tf.RaggedTensor:
    """Returns the values of the windows, ragged (windows, tokens), of rows (rows, tokens)."""
    first = tf.gather(rows.row_starts(), windows.row) + windows.start
    positions = tf.ragged.range(first, first + windows.length)
    return positions.with_values(tf.gather(rows.flat_values, positions.flat_values))
