"""Selecting tokens of a batch: those at some positions, or those that are not padding."""

from typing import Any

import numpy as np
from keras import ops


def gather_positions(x: Any, output_positions: Any) -> Any:
    """Gathers the vectors of `x`, (batch, sequence, hidden), at int positions (batch, positions).

    Returns:
        (batch, positions, hidden).
    """
    batch, length, hidden = ops.shape(x)
    # A flat gather, because its gradient is one scatter, unlike that of take_along_axis.
    rows = ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)
    return ops.take(
        ops.reshape(x, (-1, hidden)), rows + ops.cast(output_positions, "int32"), axis=0
    )


def within_documents(document_ids: Any) -> Any:
    """Returns 1 where two tokens of a row are of the same document: int (batch, length, length)."""
    return ops.cast(ops.equal(document_ids[:, :, None], document_ids[:, None]), "int32")


def positions_in_documents(document_ids: Any) -> Any:
    """Returns the position of each token in its document, int (batch, sequence).

    Args:
        document_ids: int (batch, sequence), ascending in each row.
    """
    earlier = ops.cast(document_ids[:, None] < document_ids[:, :, None], "int32")
    return ops.arange(ops.shape(document_ids)[1], dtype="int32") - ops.sum(earlier, axis=2)


class UnpaddedTokens:
    """Stores the unpadded tokens of a batch one after the other, and pads them again. TensorFlow.

    For encoders that skip padding (the zero-padding algorithm of ByteTransformer, Zhai et al.
    2023). The first token of a row always counts as unpadded.

    To have few shapes, sizes are rounded up (see `_rounded`): with copies of the very first token
    after the last token, and of a row's first token after each row.

    Args:
        padding_mask: int (batch, sequence), 0 for padding.
    """

    def __init__(self, padding_mask: Any):
        import tensorflow as tf

        self._length = tf.shape(padding_mask)[1]
        mask = _lengthened(tf.cast(padding_mask, tf.bool), axis=1)
        #: Which tokens may be attended to, bool (batch, rounded sequence).
        self.mask = mask
        is_token = mask | (tf.range(tf.shape(mask)[1]) == 0)
        # Indices are int64: a GPU's operations on int32 are mostly done by the host, for shapes.
        count = tf.cumsum(tf.reshape(tf.cast(is_token, tf.int64), [-1]), exclusive=True)
        count = tf.reshape(count, tf.shape(is_token))
        #: Row and position of each unpadded token, (rounded tokens, 2).
        self._positions = _lengthened(tf.where(is_token), axis=0)
        #: Index into (tokens, hidden) of each position, (batch, rounded sequence).
        self._rows = tf.where(is_token, count, count[:, :1])

    def unpad(self, x: Any) -> Any:
        """(batch, sequence, hidden) -> (tokens, hidden)."""
        import tensorflow as tf

        # GPUs have no `gather_nd` of bfloat16.
        row, position = self._positions[:, 0], self._positions[:, 1]
        length = tf.cast(self._length, row.dtype)
        return tf.gather(tf.reshape(x, [-1, x.shape[-1]]), row * length + position)

    def pad(self, x: Any) -> Any:
        """(tokens, hidden) -> (batch, sequence, hidden); padding gets the row's first token."""
        import tensorflow as tf

        return tf.gather(x, self._rows[:, : self._length])

    def gather(self, x: Any, output_positions: Any) -> Any:
        """(tokens, hidden), and int (batch, positions) -> (batch, positions, hidden)."""
        import tensorflow as tf

        return tf.gather(x, tf.gather(self._rows, output_positions, batch_dims=1))

    # Each of these is one gather; a transposition would be a second pass.

    def split_heads(self, x: Any, num_heads: int, size: int, first: int = 0) -> Any:
        """(tokens, any heads * size) -> (batch, heads, sequence, size), padded.

        Args:
            x: float, (tokens, any heads * size).
            num_heads: number of heads to return.
            size: size of each head.
            first: index of the first head to return.
        """
        import tensorflow as tf

        head = tf.range(first, first + num_heads, dtype=tf.int64)[tf.newaxis, :, tf.newaxis]
        rows = self._rows[:, tf.newaxis, :] * (x.shape[-1] // size) + head
        return tf.gather(tf.reshape(x, [-1, size]), rows)

    def merge_heads(self, x: Any) -> Any:
        """(batch, heads, sequence, size) -> (tokens, heads * size)."""
        import tensorflow as tf

        num_heads, size = x.shape[1], x.shape[3]
        row, position = tf.split(self._positions, 2, axis=1)
        head = tf.range(num_heads, dtype=row.dtype)[tf.newaxis]
        rows = (row * num_heads + head) * tf.shape(x, row.dtype)[2] + position
        x = tf.gather(tf.reshape(x, [-1, size]), rows)
        return tf.reshape(x, [-1, num_heads * size])


def _lengthened(x, axis: int):
    """Pads a matrix with zeros along an axis to a rounded size."""
    import tensorflow as tf

    shape = tf.unstack(tf.shape(x))
    shape[axis] = _rounded(shape[axis]) - shape[axis]
    return tf.concat([x, tf.zeros(shape, x.dtype)], axis)


def _rounded(size):
    """Rounds a size up to a multiple of 8, above 256 to one of 16 sizes per octave; int32.

    For every shape that is multiplied, TensorFlow keeps a oneDNN operation with its code and
    memory, over 100 KB, up to 1,024 of them in each thread; there is no setting for that.
    Arithmetic on int32 stays on the host if there is a GPU.
    """
    import tensorflow as tf

    octaves = 2 ** np.arange(22, dtype="int32")
    is_above = tf.clip_by_value(size - 256 * octaves, 0, 1)
    step = 8 * (1 + tf.reduce_sum(octaves * is_above))
    return (size + step - 1) // step * step
