"""Byte offsets, which the graph works in: to characters, which people read, and to originals."""

from __future__ import annotations

from typing import NamedTuple

from kerasbert.lazy import tensorflow as tf
from kerasbert.text.normalization import CUT


def bytes_to_characters(text: tf.Tensor, offsets: tf.RaggedTensor) -> tf.RaggedTensor:
    """Converts byte offsets into character (Unicode code point) offsets, inside the graph.

    Args:
        text: string tensor of shape (batch,), UTF-8.
        offsets: ragged integers, (batch, offsets), each the byte offset of a character's start,
            or of the string's end, in the same row of `text`.

    Returns:
        int64, ragged as `offsets`: the number of characters before each offset, so that in Python
        `text[i].decode()[start:end]` is the piece between two of them.
    """
    _, starts = tf.strings.unicode_decode_with_offsets(text, "UTF-8")
    lengths = tf.cast(tf.strings.length(text), tf.int64)
    # One sorted table for all rows: each row's character starts, moved up by the bytes before it.
    bases = tf.cumsum(lengths + 1, exclusive=True)
    table = starts.flat_values + tf.gather(bases, starts.value_rowids())
    rows = offsets.value_rowids()
    sought = tf.cast(offsets.flat_values, tf.int64) + tf.gather(bases, rows)
    positions = tf.searchsorted(table, sought, out_type=tf.int64)
    return offsets.with_flat_values(positions - tf.gather(starts.row_starts(), rows))


class Characters(NamedTuple):
    """Texts that are cut into small parts; ragged, (batch, units).

    Attributes:
        texts: the parts, string.
        starts: where each starts in its text, in bytes, int64.
        ends: where it ends.
    """

    texts: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor


def split_units(text: tf.Tensor, pattern: str) -> Characters:
    """Cuts texts of valid UTF-8, (batch,), behind everything that matches a pattern."""
    parts = tf.strings.split(tf.strings.regex_replace(text, f"(?s){pattern}", rb"\0" + CUT), CUT)
    limits = tf.cumsum(tf.cast(tf.strings.length(parts.values), tf.int64))
    before = tf.gather(tf.concat([[0], limits], axis=0), parts.row_starts())
    ends = limits - tf.gather(before, parts.value_rowids())
    lengths = tf.cast(tf.strings.length(parts.values), tf.int64)
    return Characters(parts, parts.with_values(ends - lengths), parts.with_values(ends))


def count_at_most(values: tf.RaggedTensor, limits: tf.RaggedTensor) -> tf.RaggedTensor:
    """How many values of the same row are at most as large as each limit.

    Both are int64, not negative, (batch, any); the values of a row ascend.
    """
    # One ascending table of all rows: each row is moved up beyond whatever the one before holds.
    stride = tf.reduce_max(tf.concat([[0], values.values, limits.values], 0)) + 1
    rows = limits.value_rowids()
    table = values.values + stride * values.value_rowids()
    positions = tf.searchsorted(
        table, limits.values + stride * rows, side="right", out_type=tf.int64
    )
    return limits.with_values(positions - tf.gather(values.row_starts(), rows))


def at_places(values: tf.RaggedTensor, index: tf.RaggedTensor) -> tf.RaggedTensor:
    """The values at some places of the same row.

    An index below or beyond the row means its first or last value; a row without any gives 0.
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
    """Offsets in `valid`, which is `text` without its invalid bytes, as offsets in `text`.

    Args:
        text: string tensor of shape (batch,).
        valid: what `drop_invalid_utf8` makes of it.
        starts: byte offsets of characters in `valid`, int64, ragged, (batch, offsets).
        ends: the same, exclusive.

    Returns:
        The same offsets in `text`.
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
