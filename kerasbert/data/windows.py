"""Rows that are too long, cut into windows that overlap; in core ops that every server links."""

from __future__ import annotations

from typing import NamedTuple

from kerasbert.lazy import tensorflow as tf


class Windows(NamedTuple):
    """Parts of ragged rows, int64 (windows,), those of a row one after the other.

    Attributes:
        row: the row that it is cut from.
        start: its first token there.
        length: its tokens.
    """

    row: tf.Tensor
    start: tf.Tensor
    length: tf.Tensor

    def batch(self, first, size: int) -> Windows:
        """The windows from number `first` on, at most `size`."""
        return Windows(*(part[first : first + size] for part in self))


def overlapping_windows(lengths, size, stride) -> Windows:
    """The windows of `run_squad.py` in google-research/bert; a row without tokens has one as well.

    Args:
        lengths: tokens of each row, int64 (rows,).
        size: tokens of a window, 1 or more: int64, a scalar or (rows,).
        stride: tokens from the start of a window to that of the next, 1 or more; where it is more
            than `size`, `size`, so that no token is left out.
    """
    size = tf.broadcast_to(tf.cast(size, tf.int64), tf.shape(lengths))
    step = tf.minimum(tf.cast(stride, tf.int64), size)
    beyond = tf.maximum(lengths - size, 0)
    counts = 1 + (beyond + step - 1) // step
    row = tf.repeat(tf.range(tf.size(lengths, tf.int64)), counts)
    start = tf.ragged.range(counts).flat_values * tf.gather(step, row)
    rest = tf.gather(lengths, row) - start
    return Windows(row, start, tf.minimum(tf.gather(size, row), rest))


def cut(rows: tf.RaggedTensor, windows: Windows) -> tf.RaggedTensor:
    """The windows' values, (windows, tokens), of ragged rows (rows, tokens)."""
    first = tf.gather(rows.row_starts(), windows.row) + windows.start
    positions = tf.ragged.range(first, first + windows.length)
    return positions.with_values(tf.gather(rows.flat_values, positions.flat_values))
