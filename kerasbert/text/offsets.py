"""Byte offsets in texts: conversion to characters, and from normalized to original texts."""

from __future__ import annotations

from typing import NamedTuple

from kerasbert.lazy import tensorflow as tf
from kerasbert.text.normalization import CUT


def bytes_to_characters(text: tf.Tensor, offsets: tf.RaggedTensor) -> tf.RaggedTensor:
    """Converts byte offsets to character (Unicode code point) offsets, as TensorFlow ops.

    Args:
        text: string tensor of valid UTF-8, (batch,).
        offsets: ragged integers, (batch, offsets). Each is the byte offset of the start of a
            character, or of the end of the string, in the same row of `text`.

    Returns:
        int64, ragged like `offsets`: the number of characters before each offset. In Python,
        `text[i].decode()[start:end]` is the text between two of them.

    Examples:
        >>> import tensorflow as tf
        >>> import kerasbert
        >>> offsets = tf.ragged.constant([[0, 7, 9]])
        >>> kerasbert.text.bytes_to_characters(tf.constant(["Größe 5"]), offsets).to_list()
        [[0, 5, 7]]
    """
    _, starts = tf.strings.unicode_decode_with_offsets(text, "UTF-8")
    lengths = tf.cast(tf.strings.length(text), tf.int64)
    # One sorted table for all rows: the character starts of each row, shifted by the bytes before
    # it.
    bases = tf.cumsum(lengths + 1, exclusive=True)
    table = starts.flat_values + tf.gather(bases, starts.value_rowids())
    rows = offsets.value_rowids()
    sought = tf.cast(offsets.flat_values, tf.int64) + tf.gather(bases, rows)
    positions = tf.searchsorted(table, sought, out_type=tf.int64)
    return offsets.with_flat_values(positions - tf.gather(starts.row_starts(), rows))


class Characters(NamedTuple):
    """Texts that are split into small units, such as characters; ragged, (batch, units).

    Attributes:
        texts: string, the units.
        starts: int64, the start of each unit in its text, in bytes.
        ends: int64, the end of each unit, exclusive.
    """

    texts: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor


def split_units(text: tf.Tensor, pattern: str) -> Characters:
    """Splits texts of valid UTF-8, (batch,), after every match of a pattern."""
    parts = tf.strings.split(tf.strings.regex_replace(text, f"(?s){pattern}", rb"\0" + CUT), CUT)
    limits = tf.cumsum(tf.cast(tf.strings.length(parts.values), tf.int64))
    before = tf.gather(tf.concat([[0], limits], axis=0), parts.row_starts())
    ends = limits - tf.gather(before, parts.value_rowids())
    lengths = tf.cast(tf.strings.length(parts.values), tf.int64)
    return Characters(parts, parts.with_values(ends - lengths), parts.with_values(ends))


def count_at_most(values: tf.RaggedTensor, limits: tf.RaggedTensor) -> tf.RaggedTensor:
    """Counts the values of the same row that are less than or equal to each limit.

    Args:
        values: int64, non-negative, ragged, (batch, values), ascending in each row.
        limits: int64, non-negative, ragged, (batch, limits).

    Returns:
        int64, ragged like `limits`.
    """
    # One ascending table for all rows: each row is shifted beyond the values of the row before it.
    stride = tf.reduce_max(tf.concat([[0], values.values, limits.values], 0)) + 1
    rows = limits.value_rowids()
    table = values.values + stride * values.value_rowids()
    positions = tf.searchsorted(
        table, limits.values + stride * rows, side="right", out_type=tf.int64
    )
    return limits.with_values(positions - tf.gather(values.row_starts(), rows))


def at_positions(values: tf.RaggedTensor, index: tf.RaggedTensor) -> tf.RaggedTensor:
    """Gathers values of the same row by index.

    An index outside the row is clipped to its first or last value. A row without values gives 0.

    Args:
        values: ragged, (batch, values).
        index: int64, ragged, (batch, indices).

    Returns:
        The values, ragged like `index`.
    """
    rows = index.value_rowids()
    counts = tf.gather(values.row_lengths(), rows)
    within = tf.maximum(tf.minimum(index.values, counts - 1), 0)
    nothing = tf.size(values.values, tf.int64)
    flat = tf.where(counts > 0, tf.gather(values.row_starts(), rows) + within, nothing)
    return index.with_values(tf.gather(tf.pad(values.values, [[0, 1]]), flat))


def undo_drop(
    text: tf.Tensor, valid: tf.Tensor, starts: tf.RaggedTensor, ends: tf.RaggedTensor
) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
    """Converts offsets in texts without their invalid bytes to offsets in the original texts.

    Args:
        text: string tensor, (batch,), the original texts.
        valid: string tensor, (batch,), the result of `drop_invalid_utf8`.
        starts: int64, ragged, (batch, offsets), byte offsets of characters in `valid`.
        ends: int64, ragged, (batch, offsets), the same, exclusive.

    Returns:
        The starts and ends in `text`.
    """

    def undo():
        characters, origins = tf.strings.unicode_decode_with_offsets(text, "UTF-8", errors="ignore")
        sizes = sum(
            tf.cast(characters.values >= limit, tf.int64) for limit in (0, 0x80, 0x800, 0x10000)
        )
        base = tf.gather(origins.row_starts(), starts.value_rowids())
        first = base + bytes_to_characters(valid, starts).values
        last = tf.maximum(base + bytes_to_characters(valid, ends).values - 1, first)
        new_starts = tf.gather(origins.values, first)
        new_ends = tf.gather(origins.values + sizes, last)
        return new_starts, tf.where(ends.values > starts.values, new_ends, new_starts)

    same = tf.reduce_all(tf.equal(text, valid))
    values = tf.cond(same, lambda: (starts.values, ends.values), undo)
    return starts.with_values(values[0]), ends.with_values(values[1])
