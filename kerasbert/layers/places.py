"""The vectors of some tokens, out of all."""

from keras import ops


def tokens_at(x, places):
    """The vectors of `x`, (batch, sequence, hidden), at `places`, int (batch, places).

    Returns:
        (batch, places, hidden).
    """
    batch, length, hidden = ops.shape(x)
    # A flat gather: its gradient is one scatter, where that of take_along_axis is not.
    rows = ops.expand_dims(ops.arange(batch, dtype="int32") * length, 1)
    return ops.take(ops.reshape(x, (-1, hidden)), rows + ops.cast(places, "int32"), axis=0)
