"""Byte offsets, which the graph works in, to the character offsets that people read."""

import tensorflow as tf


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
    found = tf.searchsorted(table, sought, out_type=tf.int64)
    return offsets.with_flat_values(found - tf.gather(starts.row_starts(), rows))
