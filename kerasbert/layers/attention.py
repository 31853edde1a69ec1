"""Multi-head self-attention."""

import math

import keras
from keras import ops

from kerasbert.layers.dropout import Dropout
from kerasbert.layers.initializers import kernel_initializer

# Added to the scores of padding: far below any score, and finite in every float type.
_MASKED_SCORE = -1e4


@keras.saving.register_keras_serializable("kerasbert")
class SelfAttention(keras.layers.Layer):
    """Multi-head scaled dot-product self-attention (Vaswani et al. 2017, §3.2.2), with projections.

    Call: `(x, padding_mask)`, float (batch, sequence, hidden) and int (batch, sequence), 1 where
    a token may be attended to -> (batch, sequence, hidden). Without a mask all are. With
    `return_weights=True` also the attention probabilities, (batch, heads, sequence, sequence).

    Args:
        num_heads: must divide the width of `x`.
        dropout: rate on the attention probabilities.
        initializer_range: standard deviation of the initial kernels.
    """

    def __init__(
        self, num_heads: int, dropout: float = 0.1, initializer_range: float = 0.02, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.initializer_range = initializer_range
        self.dropout = Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, x_shape, padding_mask_shape=None):
        hidden = x_shape[-1]
        if hidden % self.num_heads:
            raise ValueError(f"num_heads={self.num_heads} does not divide the width {hidden}")

        # === Layers ===
        def dense(name):
            layer = keras.layers.Dense(
                hidden,
                kernel_initializer=kernel_initializer(self.initializer_range),
                dtype=self.dtype_policy,
                name=name,
            )
            layer.build((None, hidden))
            return layer

        self.query, self.key, self.value, self.output_dense = map(
            dense, ("query", "key", "value", "output")
        )
        self.built = True

    def call(self, x, padding_mask=None, training=None, return_weights=False):
        batch, length, hidden = ops.shape(x)
        # Dense layers see (tokens, hidden): a true matrix product, which fuses with its bias.
        tokens = ops.reshape(x, (-1, hidden))
        # One product instead of three pays where it is differentiated; elsewhere the kernels would
        # have to be put side by side at every call.
        project = self._project_at_once if training else self._project
        query, key, value = project(
            tokens, (batch, length, self.num_heads, hidden // self.num_heads)
        )
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        if padding_mask is not None:
            padding = 1 - ops.cast(padding_mask, scores.dtype)
            scores = scores + (_MASKED_SCORE * padding)[:, None, None, :]
        probabilities = self.dropout(ops.softmax(scores, axis=-1), training=training)
        mixed = ops.matmul(probabilities, value)
        mixed = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, hidden))
        output = ops.reshape(self.output_dense(mixed), (batch, length, hidden))
        return (output, probabilities) if return_weights else output

    def _project(self, tokens, shape):
        """Query, key and value, (batch, heads, sequence, size); the query is scaled."""
        query, key, value = (
            ops.transpose(ops.reshape(dense(tokens), shape), (0, 2, 1, 3))
            for dense in (self.query, self.key, self.value)
        )
        return query * (1.0 / math.sqrt(shape[-1])), key, value

    def _project_at_once(self, tokens, shape):
        batch, length, heads, size = shape
        scale = 1.0 / math.sqrt(size)
        kernels = [self.query.kernel * scale, self.key.kernel, self.value.kernel]
        biases = [self.query.bias * scale, self.key.bias, self.value.bias]
        projected = ops.matmul(tokens, ops.cast(ops.concatenate(kernels, -1), tokens.dtype))
        projected = projected + ops.cast(ops.concatenate(biases, -1), tokens.dtype)
        projected = ops.reshape(projected, (batch, length, 3, heads, size))
        return ops.unstack(ops.transpose(projected, (2, 0, 3, 1, 4)), 3, axis=0)

    def compute_output_spec(self, x, padding_mask=None, training=None, return_weights=False):
        return output_spec(self, x, return_weights)

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "dropout": self.dropout.rate,
            "initializer_range": self.initializer_range,
        }


def output_spec(layer, x, return_weights: bool):
    """What a layer with `num_heads` gives that maps `x` to its own shape, perhaps with weights."""
    output = keras.KerasTensor(x.shape, dtype=layer.compute_dtype)
    batch, length, _ = x.shape
    shape = (batch, layer.num_heads, length, length)
    return (output, keras.KerasTensor(shape, layer.compute_dtype)) if return_weights else output
