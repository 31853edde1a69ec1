"""Layers for long texts, which the encoder reads in chunks."""

from typing import Any

import keras
from keras import ops

from kerasbert.errors import InputError
from kerasbert.layers.initializers import kernel_initializer
from kerasbert.layers.pooling import LOWEST

#: Ways to pool the vectors of a text's chunks.
POOLINGS = ("mean", "max", "attention")


@keras.saving.register_keras_serializable("kerasbert")
class FoldChunks(keras.layers.Layer):
    """Makes rows of the chunks of texts, so that an encoder can read them.

    Call: `x`, int32 (batch, chunks, sequence) -> (batch * chunks, sequence).

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> kerasbert.layers.FoldChunks()(np.zeros((2, 3, 16), "int32")).shape
        TensorShape([6, 16])

    Args:
        **kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.
    """

    def call(self, x: Any) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        return ops.reshape(x, (-1, ops.shape(x)[2]))

    def compute_output_shape(self, shape: Any) -> tuple[Any, ...]:
        """Returns the shape of the output, as Keras asks for."""
        return (None, shape[2])


@keras.saving.register_keras_serializable("kerasbert")
class PoolChunks(keras.layers.Layer):
    """Pools the vectors of a text's chunks to one.

    A text of a single chunk keeps that chunk's vector bit for bit.

    Call: vectors (batch * chunks, hidden), `padding_mask` (batch, chunks, sequence) -> (batch,
    hidden). A chunk that is all padding is ignored.

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> layer = kerasbert.layers.PoolChunks("mean")
        >>> vectors = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")  # of one text, of two chunks
        >>> layer(vectors, np.ones((1, 2, 8), "int32")).numpy().tolist()
        [[2.0, 3.0]]

    Args:
        how: "mean"; "max" of each dimension; or "attention", a mean weighted by the softmax of the
            chunks' products with a learned vector (Yang et al. 2016, Hierarchical Attention
            Networks, §2.2; BERT's pooler replaces their tanh projection).
        initializer_range: standard deviation of the initial vector.
        **kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Raises:
        InputError: the pooling is unknown.
    """

    def __init__(self, how: str, initializer_range: float = 0.02, **kwargs: Any):
        super().__init__(**kwargs)
        if how not in POOLINGS:
            raise InputError(f"chunks are pooled by {', '.join(POOLINGS)}, found {how!r}")
        self.how = how
        self.initializer_range = initializer_range

    def build(
        self, vectors_shape: tuple[Any, ...], padding_mask_shape: tuple[Any, ...] | None
    ) -> None:
        """Creates the weights, as Keras asks for."""
        if self.how == "attention":
            self.query = self.add_weight(
                name="query",
                shape=(vectors_shape[-1],),
                initializer=kernel_initializer(self.initializer_range),
            )
        self.built = True

    def call(self, vectors: Any, padding_mask: Any) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        batch, chunks, _ = ops.shape(padding_mask)
        vectors = ops.reshape(vectors, (batch, chunks, vectors.shape[-1]))
        is_chunk = ops.cast(padding_mask[:, :, :1], vectors.dtype)
        if self.how == "max":
            return _max(ops.where(is_chunk > 0, vectors, LOWEST))[:, 0]
        if self.how == "mean":
            return ops.sum(vectors * is_chunk, axis=1) / ops.maximum(ops.sum(is_chunk, axis=1), 1)
        scores = ops.sum(vectors * self.query, axis=-1, keepdims=True)
        scores = ops.where(is_chunk > 0, scores, LOWEST)
        # A softmax, written out because Keras's warns about texts with one chunk.
        shares = ops.exp(scores - _max(scores))
        return ops.sum(vectors * shares, axis=1) / ops.sum(shares, axis=1)

    def compute_output_shape(
        self, vectors_shape: tuple[Any, ...], padding_mask_shape: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Returns the shape of the output, as Keras asks for."""
        return (padding_mask_shape[0], vectors_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, in JSON types."""
        return {
            **super().get_config(),
            "how": self.how,
            "initializer_range": self.initializer_range,
        }


def _max(x):
    """Returns the maximum over chunks, (batch, 1, ...); `initial` covers batches without texts."""
    return ops.max(x, axis=1, keepdims=True, initial=LOWEST)
