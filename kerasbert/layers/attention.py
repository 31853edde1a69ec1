"""Multi-head self-attention."""

import functools
import math
from typing import Any

import keras
from keras import ops

from kerasbert.layers import backends
from kerasbert.layers.dropout import Dropout
from kerasbert.layers.inference import frozen_weights
from kerasbert.layers.initializers import kernel_initializer

# Added to the scores of padding: far below any score, and finite in every float dtype.
_MASKED_SCORE = -1e4


@keras.saving.register_keras_serializable("kerasbert")
class SelfAttention(keras.layers.Layer):
    """Multi-head scaled dot-product self-attention with projections (Vaswani et al. 2017, §3.2.2).

    Call: `(x, padding_mask)`, float (batch, sequence, hidden) and int (batch, sequence), 1 for
    tokens that may be attended to (default: all), or (batch, queries, sequence) for each query ->
    float (batch, sequence, hidden). Optional arguments:

    - `queries`, float (batch, positions, hidden): these vectors attend to the tokens of `x`, and
      the output is (batch, positions, hidden).
    - `unpadded`, an `UnpaddedTokens` of the mask: `x` is (tokens, hidden), and so is the output
      without `queries`.
    - `return_weights=True`: also returns the attention probabilities, (batch, heads, sequence or
      positions, sequence).
    - `training`, whether probabilities are dropped.

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> layer = kerasbert.layers.SelfAttention(num_heads=4)
        >>> x, padding_mask = np.ones((2, 6, 32), "float32"), np.ones((2, 6), "int32")
        >>> layer(x, padding_mask).shape
        TensorShape([2, 6, 32])
        >>> output, probabilities = layer(x, padding_mask, return_weights=True)
        >>> probabilities.shape
        TensorShape([2, 4, 6, 6])

    Args:
        num_heads: number of attention heads; must divide the width of `x`.
        dropout: dropout rate of the attention probabilities.
        initializer_range: standard deviation of the initial kernels.
        **kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Raises:
        ValueError: `num_heads` does not divide the width of `x`.
    """

    def __init__(
        self, num_heads: int, dropout: float = 0.1, initializer_range: float = 0.02, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.initializer_range = initializer_range
        self.dropout = Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(
        self, x_shape: tuple[Any, ...], padding_mask_shape: tuple[Any, ...] | None = None
    ) -> None:
        """Creates the weights, as Keras asks for."""
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

    def call(
        self,
        x: Any,
        padding_mask: Any = None,
        queries: Any = None,
        unpadded: Any = None,
        training: bool | None = None,
        return_weights: bool = False,
    ) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        if self._fuses(x, queries, unpadded, training, return_weights):
            return self._fused(x, padding_mask)
        if queries is None:
            projected = self._project(x, unpadded, training, self.query, self.key, self.value)
            query, key, value = projected
        else:
            (query,) = self._project(queries, None, training, self.query)
            key, value = self._project(x, unpadded, training, self.key, self.value)
        scores = _products(query, key)
        if padding_mask is not None:
            padding = 1 - ops.cast(padding_mask, scores.dtype)
            scores = scores + _for_heads(_MASKED_SCORE * padding)
        probabilities = self.dropout(ops.softmax(scores, axis=-1), training=training)
        mixed = ops.matmul(probabilities, value)
        if queries is None and unpadded is not None:
            mixed = unpadded.merge_heads(mixed)
        else:
            mixed = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, x.shape[-1]))
        output = ops.reshape(self.output_dense(mixed), ops.shape(x if queries is None else queries))
        return (output, probabilities) if return_weights else output

    def _fuses(self, x, queries, unpadded, training, return_weights) -> bool:
        """Whether scores, softmax and the product with the values are computed by one operation."""
        if queries is not None or unpadded is not None or return_weights:
            return False
        return backends.fuses_attention() and not (training and self.dropout.rate)

    def _fused(self, x, padding_mask):
        batch, length, hidden = ops.shape(x)
        shape = (batch, length, self.num_heads, hidden // self.num_heads)
        query, key, value = (
            ops.reshape(layer(_tokens(x)), shape) for layer in (self.query, self.key, self.value)
        )
        mask = None
        if padding_mask is not None:
            mask = _for_heads(ops.cast(padding_mask, "bool"))
            # cuDNN needs a mask for every pair of tokens.
            mask = ops.broadcast_to(mask, (batch, 1, length, length))
        mixed = ops.dot_product_attention(
            query, key, value, mask=mask, flash_attention=backends.flash_attention(query)
        )
        return ops.reshape(self.output_dense(ops.reshape(mixed, (-1, hidden))), ops.shape(x))

    def _project(self, x, unpadded, training, *layers):
        """Projects `x` with each layer to (batch, heads, sequence, size); queries are scaled."""
        frozen = None if training else frozen_weights()
        if backends.projects_at_once(frozen, *layers):
            return self._project_at_once(x, unpadded, frozen, *layers)
        size = x.shape[-1] // self.num_heads
        projected = []
        for layer in layers:
            heads = layer(_tokens(x))
            if unpadded is None:
                heads = ops.reshape(heads, (*ops.shape(x)[:-1], self.num_heads, size))
                heads = ops.transpose(heads, (0, 2, 1, 3))
            else:
                heads = unpadded.split_heads(heads, self.num_heads, size)
            projected.append(heads * (1.0 / math.sqrt(size)) if layer is self.query else heads)
        return projected

    def _project_at_once(self, x, unpadded, frozen, *layers):
        """Does the same in a single matrix product."""
        heads, size = self.num_heads, x.shape[-1] // self.num_heads
        tokens = _tokens(x)
        kernel, bias = self._side_by_side(layers, size, tokens.dtype, frozen)
        projected = ops.matmul(tokens, kernel) + bias
        if unpadded is not None:
            return [
                unpadded.split_heads(projected, heads, size, i * heads) for i in range(len(layers))
            ]
        shape = (*ops.shape(x)[:-1], len(layers), heads, size)
        projected = ops.transpose(ops.reshape(projected, shape), (2, 0, 3, 1, 4))
        return ops.unstack(projected, len(layers), axis=0)

    def _side_by_side(self, layers, size: int, dtype, frozen) -> list:
        """Returns the layers' concatenated kernels and biases; the query's are scaled."""
        scales = [1.0 / math.sqrt(size) if layer is self.query else 1.0 for layer in layers]

        def together(name):
            scaled = [getattr(one, name) * s for one, s in zip(layers, scales, strict=True)]
            return ops.cast(ops.concatenate(scaled, axis=-1), dtype)

        key = (id(self), *map(id, layers))
        return [
            ops.convert_to_tensor(frozen.once((*key, name), functools.partial(together, name)))
            for name in ("kernel", "bias")
        ]

    def compute_output_spec(
        self,
        x: Any,
        padding_mask: Any = None,
        queries: Any = None,
        unpadded: Any = None,
        training: bool | None = None,
        return_weights: bool = False,
    ) -> Any:
        """Returns shape and dtype of the output, as Keras asks for."""
        return output_spec(self, x, x if queries is None else queries, return_weights)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, in JSON types."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "dropout": self.dropout.rate,
            "initializer_range": self.initializer_range,
        }


def _for_heads(mask):
    """(batch, sequence) or (batch, queries, sequence) -> (batch, 1, 1 or queries, sequence)."""
    return mask[:, None, None, :] if len(mask.shape) == 2 else mask[:, None]


def _products(query, key):
    """Returns the product of each query with each key: (batch, heads, queries, keys)."""
    if keras.backend.backend() != "tensorflow":
        return ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
    import tensorflow as tf

    # TensorFlow would remove the transpose, but not that of the gradient.
    return tf.matmul(query, key, transpose_b=True)


def _tokens(x):
    """Flattens to (tokens, hidden), for which Keras's Dense is one product, fused with its bias."""
    return ops.reshape(x, (-1, x.shape[-1]))


def output_spec(layer: Any, x: Any, queries: Any, return_weights: bool) -> Any:
    """Returns the output spec of a layer with `num_heads` in which `queries` attend to `x`.

    Both are (batch, any, hidden).
    """
    output = keras.KerasTensor(queries.shape, dtype=layer.compute_dtype)
    shape = (x.shape[0], layer.num_heads, queries.shape[1], x.shape[1])
    return (output, keras.KerasTensor(shape, layer.compute_dtype)) if return_weights else output
