"""The vectors of some tokens, out of all."""

import keras
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


@keras.saving.register_keras_serializable("kerasbert")
class TokensAt(keras.layers.Layer):
    """`tokens_at` in a functional model."""

    def call(self, x, places):
        return tokens_at(x, places)

    def compute_output_shape(self, x_shape, places_shape):
        return (*places_shape, x_shape[-1])
