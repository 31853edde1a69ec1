"""Encoders that compute nothing for padding (Zhai et al. 2023, ByteTransformer, §IV)."""

import contextlib
import contextvars
from collections.abc import Iterator

import keras

_skipping = contextvars.ContextVar("skipping", default=False)


@contextlib.contextmanager
def without_padding() -> Iterator[None]:
    """While this lasts, encoders that do not train compute real tokens only.

    For functions of texts of any length, as they are traced; not for those that XLA compiles, which
    has to know how many tokens are real. What such an encoder gives for padding is that of the
    row's first token. Only on TensorFlow; elsewhere nothing changes.
    """
    token = _skipping.set(keras.backend.backend() == "tensorflow")
    try:
        yield
    finally:
        _skipping.reset(token)


def skips_padding() -> bool:
    """Whether `without_padding` lasts."""
    return _skipping.get()


class RealTokens:
    """The real tokens of a batch, one after the other, and the way back. On TensorFlow.

    The first token of a row counts as real.

    Args:
        padding_mask: int (batch, sequence), 1 on real tokens.
    """

    def __init__(self, padding_mask):
        import tensorflow as tf

        first = tf.range(tf.shape(padding_mask)[1]) == 0
        real = tf.cast(padding_mask, tf.bool) | first
        count = tf.cumsum(tf.reshape(tf.cast(real, tf.int32), [-1]), exclusive=True)
        count = tf.reshape(count, tf.shape(real))
        #: Of each real token its place among all, (tokens,).
        self._places = tf.where(tf.reshape(real, [-1]))[:, 0]
        #: Of each place its row in (tokens, hidden), (batch, sequence).
        self._rows = tf.where(real, count, count[:, :1])

    def flat(self, x):
        """(batch, sequence, hidden) or (batch * sequence, hidden) -> (tokens, hidden)."""
        import tensorflow as tf

        return tf.gather(tf.reshape(x, [-1, x.shape[-1]]), self._places)

    def padded(self, x):
        """(tokens, hidden) -> (batch, sequence, hidden); on padding stands the first token."""
        import tensorflow as tf

        return tf.gather(x, self._rows)

    def at(self, x, places):
        """(tokens, hidden), and int (batch, places) -> (batch, places, hidden)."""
        import tensorflow as tf

        return tf.gather(x, tf.gather(self._rows, places, batch_dims=1))
