"""A layer of the encoder."""

import functools
from typing import Any

import keras
from keras import ops

from kerasbert.layers.attention import SelfAttention, output_spec
from kerasbert.layers.dropout import Dropout, dropped
from kerasbert.layers.fused_ops import FusedOp
from kerasbert.layers.initializers import activation_function, kernel_initializer
from kerasbert.layers.normalization import LayerNorm, layer_norm
from kerasbert.layers.recompute import recomputed
from kerasbert.layers.tokens import gather_positions


@functools.cache
def _activation(name: str) -> FusedOp:
    return FusedOp(activation_function(name))


@functools.cache
def _add_and_norm(threshold: int, epsilon: float) -> FusedOp:
    def function(x, change, random_bytes, gamma, beta):
        total = x + dropped(change, threshold, random_bytes)
        return layer_norm(total, gamma, beta, epsilon)

    return FusedOp(function)


@keras.saving.register_keras_serializable("kerasbert")
class TransformerBlock(keras.layers.Layer):
    """Self-attention and feed-forward, each with dropout, residual, then LayerNorm ("post-LN").

    As in BERT, §3, and google-research/bert, `modeling.transformer_model`.

    Call: `(x, padding_mask)`, float (batch, sequence, hidden) and int (batch, sequence), or (batch,
    sequence, sequence) for each query -> float (batch, sequence, hidden). Optional arguments:

    - `output_positions`, int (batch, positions): the output is (batch, positions, hidden), and what
      only other tokens need is not computed.
    - `unpadded`, an `UnpaddedTokens` of the mask: `x` is (tokens, hidden), and so is the output
      without `output_positions`.
    - `return_weights=True`: also returns the attention probabilities, (batch, heads, sequence or
      positions, sequence).
    - `training`, whether vectors and probabilities are dropped.

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> layer = kerasbert.layers.TransformerBlock(num_heads=4, intermediate_dim=64)
        >>> x, padding_mask = np.ones((2, 6, 32), "float32"), np.ones((2, 6), "int32")
        >>> layer(x, padding_mask).shape
        TensorShape([2, 6, 32])
        >>> layer(x, padding_mask, output_positions=np.array([[0], [0]])).shape
        TensorShape([2, 1, 32])

    Args:
        num_heads: number of attention heads.
        intermediate_dim: width of the feed-forward layer.
        activation: a key of `kerasbert.layers.initializers.ACTIVATIONS`.
        dropout: dropout rate after attention and after feed-forward.
        attention_dropout: dropout rate of the attention probabilities.
        layer_norm_epsilon: epsilon of LayerNorm.
        initializer_range: standard deviation of the initial kernels.
        **kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.
    """

    def __init__(
        self,
        num_heads: int,
        intermediate_dim: int,
        activation: str = "gelu_tanh",
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        layer_norm_epsilon: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_range = initializer_range
        #: Whether training recomputes activations for the gradient, to save memory.
        self.gradient_checkpointing = False

        activation_function(activation)  # raises InputError for an unknown name

        # === Layers ===
        policy = self.dtype_policy
        self.attention = SelfAttention(
            num_heads, attention_dropout, initializer_range, dtype=policy, name="attention"
        )
        self.attention_layer_norm = LayerNorm(
            epsilon=layer_norm_epsilon, dtype=policy, name="attention_layer_norm"
        )
        self.intermediate = keras.layers.Dense(
            intermediate_dim,
            kernel_initializer=kernel_initializer(initializer_range),
            dtype=policy,
            name="intermediate",
        )
        self.output_layer_norm = LayerNorm(
            epsilon=layer_norm_epsilon, dtype=policy, name="output_layer_norm"
        )
        self.dropout = Dropout(dropout, dtype=policy, name="dropout")

    def build(
        self, x_shape: tuple[Any, ...], padding_mask_shape: tuple[Any, ...] | None = None
    ) -> None:
        """Creates the weights, as Keras asks for."""
        hidden = x_shape[-1]
        self.output_dense = keras.layers.Dense(
            hidden,
            kernel_initializer=kernel_initializer(self.initializer_range),
            dtype=self.dtype_policy,
            name="output",
        )
        self.attention.build(x_shape)
        self.attention_layer_norm.build(x_shape)
        self.intermediate.build((None, hidden))
        self.output_dense.build((None, self.intermediate_dim))
        self.output_layer_norm.build(x_shape)
        self.built = True

    def call(
        self,
        x: Any,
        padding_mask: Any = None,
        output_positions: Any = None,
        unpadded: Any = None,
        training: bool | None = None,
        return_weights: bool = False,
    ) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        given = {"padding_mask": padding_mask, "output_positions": output_positions}
        given = {name: value for name, value in given.items() if value is not None}

        def forward(x, *values):
            named = dict(zip(given, values, strict=True))
            return self._forward(
                x, **named, unpadded=unpadded, training=training, return_weights=return_weights
            )

        if training and self.gradient_checkpointing:
            forward = recomputed(forward, self)
        return forward(x, *given.values())

    def _forward(
        self, x, padding_mask=None, output_positions=None, *, unpadded, training, return_weights
    ):
        queries = None
        if output_positions is not None:
            gather = gather_positions if unpadded is None else unpadded.gather
            queries = gather(x, output_positions)
            if padding_mask is not None and len(padding_mask.shape) == 3:  # one for each query
                padding_mask = gather_positions(padding_mask, output_positions)
        attended = self.attention(
            x,
            padding_mask,
            queries,
            unpadded=unpadded,
            training=training,
            return_weights=return_weights,
        )
        attended, *weights = attended if return_weights else (attended,)
        x = x if queries is None else queries
        shape = ops.shape(x)
        # From here on, tokens are independent of each other: (tokens, hidden).
        x, attended = (ops.reshape(one, (-1, shape[-1])) for one in (x, attended))
        x = self._add_and_norm(self.attention_layer_norm, x, attended, training)
        activate = (
            _activation(self.activation) if training else activation_function(self.activation)
        )
        inside = self.intermediate(x)
        # TensorFlow fuses a product with its activation if it meets them in this order, which is
        # the order of their names.
        with keras.name_scope("intermediate_activation"):
            inside = activate(inside)
        forward = self.output_dense(inside)
        x = self._add_and_norm(self.output_layer_norm, x, forward, training)
        x = ops.reshape(x, shape)
        return (x, *weights) if return_weights else x

    def _add_and_norm(self, norm, x, change, training):
        """Returns the LayerNorm of `x` plus `change` after dropout."""
        if not training or not self.dropout.draws_bytes:
            return norm(x + self.dropout(change, training=training))
        random = self.dropout.random_bytes(change)
        function = _add_and_norm(self.dropout.threshold, self.layer_norm_epsilon)
        return function(x, change, random, norm.gamma, norm.beta)

    def compute_output_spec(
        self,
        x: Any,
        padding_mask: Any = None,
        output_positions: Any = None,
        unpadded: Any = None,
        training: bool | None = None,
        return_weights: bool = False,
    ) -> Any:
        """Returns shape and dtype of the output, as Keras asks for."""
        queries = x
        if output_positions is not None:
            queries = keras.KerasTensor((*output_positions.shape, x.shape[-1]))
        return output_spec(self, x, queries, return_weights)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, in JSON types."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "activation": self.activation,
            "dropout": self.dropout.rate,
            "attention_dropout": self.attention.dropout.rate,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "initializer_range": self.initializer_range,
        }
