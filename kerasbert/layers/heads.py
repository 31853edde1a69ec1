"""Layers on top of the encoder: the pooler and the masked-language-model head."""

from typing import Any, Self

import keras
from keras import ops

from kerasbert.layers import backends, vocabulary_loss
from kerasbert.layers.initializers import activation_function, kernel_initializer
from kerasbert.layers.normalization import LayerNorm
from kerasbert.layers.state import table_of


@keras.saving.register_keras_serializable("kerasbert")
class Pooler(keras.layers.Layer):
    """A tanh layer on the first token, `[CLS]` (google-research/bert, `modeling.BertModel`).

    Call: `x`, float (batch, sequence, hidden) -> (batch, hidden).

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> kerasbert.layers.Pooler()(np.ones((2, 6, 32), "float32")).shape
        TensorShape([2, 32])

    Args:
        initializer_range: standard deviation of the initial kernel.
        **kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.
    """

    def __init__(self, initializer_range: float = 0.02, **kwargs: Any):
        super().__init__(**kwargs)
        self.initializer_range = initializer_range

    def build(self, x_shape: tuple[Any, ...]) -> None:
        """Creates the weights, as Keras asks for."""
        self.dense = keras.layers.Dense(
            x_shape[-1],
            activation="tanh",
            kernel_initializer=kernel_initializer(self.initializer_range),
            dtype=self.dtype_policy,
            name="dense",
        )
        self.dense.build((None, x_shape[-1]))
        self.built = True

    def call(self, x: Any) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        return self.dense(x[:, 0])

    def compute_output_shape(self, x_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the shape of the output, as Keras asks for."""
        return (x_shape[0], x_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, in JSON types."""
        return {**super().get_config(), "initializer_range": self.initializer_range}


@keras.saving.register_keras_serializable("kerasbert")
class MLMHead(keras.layers.Layer):
    """Predicts tokens from vectors, with a token embedding table as the output matrix.

    Dense, activation, LayerNorm, then a product with the table and a bias (google-research/bert,
    `run_pretraining.get_masked_lm_output`).

    Call: `x`, float (batch, masked, hidden) -> float32 logits (batch, masked, vocabulary); or,
    where labels are given (`vocabulary_loss.labels_given`), their outcomes (batch, masked, 1, 2).

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> embeddings = kerasbert.layers.Embeddings(vocabulary_size=100, hidden_dim=32)
        >>> vectors = embeddings(np.array([[2, 7, 9, 3]]))
        >>> head = kerasbert.layers.MLMHead(embeddings.token_embedding)
        >>> head(vectors).shape
        TensorShape([1, 4, 100])

    Args:
        token_embedding: a built `keras.layers.Embedding`, whose table is shared.
        tied: whether that table is the output matrix; otherwise the head has its own.
        activation: a key of `kerasbert.layers.initializers.ACTIVATIONS`.
        layer_norm_epsilon: epsilon of LayerNorm.
        initializer_range: standard deviation of the initial kernel.
        **kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.
    """

    def __init__(
        self,
        token_embedding: keras.layers.Embedding,
        tied: bool = True,
        activation: str = "gelu_tanh",
        layer_norm_epsilon: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.token_embedding = token_embedding
        self.tied = tied
        self.activation = activation
        self.layer_norm_epsilon = layer_norm_epsilon
        self.initializer_range = initializer_range

    def build(self, x_shape: tuple[Any, ...]) -> None:
        """Creates the weights, as Keras asks for."""
        hidden = x_shape[-1]
        self.dense = keras.layers.Dense(
            self.token_embedding.output_dim,
            activation=activation_function(self.activation),
            kernel_initializer=kernel_initializer(self.initializer_range),
            dtype=self.dtype_policy,
            name="dense",
        )
        self.dense.build((None, hidden))
        self.layer_norm = LayerNorm(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name="layer_norm"
        )
        self.layer_norm.build((None, self.token_embedding.output_dim))
        self.bias = self.add_weight(
            shape=(self.token_embedding.input_dim,),
            initializer="zeros",
            autocast=False,  # added in float32
            name="bias",
        )
        if not self.tied:
            self.table = self.add_weight(
                shape=(self.token_embedding.input_dim, self.token_embedding.output_dim),
                initializer=kernel_initializer(self.initializer_range),
                name="table",
            )
        self.built = True

    def call(self, x: Any) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        batch, masked, hidden = ops.shape(x)
        tokens = self.layer_norm(self.dense(ops.reshape(x, (-1, hidden))))
        if self.tied:
            table = table_of(self.token_embedding, self.compute_dtype)
        else:
            table = ops.cast(self.table, self.compute_dtype)
        bias = ops.cast(self.bias, "float32")
        labels = vocabulary_loss.given_labels()
        if labels is not None:
            parts = backends.vocabulary_parts(self.token_embedding.input_dim)
            labels = ops.reshape(labels, (-1,))
            outcomes = vocabulary_loss.outcomes(tokens, table, bias, labels, parts)
            return ops.reshape(outcomes, (batch, masked, 1, 2))
        logits = ops.cast(_times_transposed(tokens, table), "float32") + bias
        return ops.reshape(logits, (batch, masked, self.token_embedding.input_dim))

    def compute_output_shape(self, x_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the shape of the output, as Keras asks for."""
        return (*x_shape[:-1], self.token_embedding.input_dim)

    def compute_output_spec(self, x: Any) -> Any:
        """Returns shape and dtype of the output, as Keras asks for."""
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, in JSON types."""
        return {
            **super().get_config(),
            "token_embedding": keras.saving.serialize_keras_object(self.token_embedding),
            "tied": self.tied,
            "activation": self.activation,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "initializer_range": self.initializer_range,
        }

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Creates the layer from the result of `get_config`.

        Args:
            config: dict, the result of `get_config`.
        """
        embedding = keras.saving.deserialize_keras_object(config["token_embedding"])
        return cls(**{**config, "token_embedding": embedding})


def _times_transposed(x, table):
    """Multiplies (positions, hidden) by the transposed (vocabulary, hidden)."""
    if keras.backend.backend() != "tensorflow":
        return ops.matmul(x, ops.transpose(table))
    import tensorflow as tf

    # With `transpose_b`, the gradient needs no transposition.
    return tf.matmul(x, table, transpose_b=True)
