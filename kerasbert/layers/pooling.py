"""Pooling of token vectors."""

from typing import Any

import keras
from keras import ops

from kerasbert.errors import InputError

#: Ways to pool the vectors of a text's tokens.
TOKEN_POOLINGS = ("mean", "cls", "max")
#: Lower than any value of a vector, and finite in every float dtype.
LOWEST = -6e4


@keras.saving.register_keras_serializable("kerasbert")
class PoolTokens(keras.layers.Layer):
    """Pools the vectors of a row's unpadded tokens, including special tokens, to one vector.

    Equivalent to sentence-transformers' `models.Pooling` (Reimers and Gurevych 2019, §3). "cls" is
    the first token's vector from the encoder, without the pooler.

    Call: `vectors` (batch, sequence, hidden), `padding_mask` (batch, sequence) -> (batch, hidden).

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> vectors = np.array([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]], "float32")
        >>> padding_mask = np.array([[1, 1, 0]])
        >>> kerasbert.layers.PoolTokens("mean")(vectors, padding_mask).numpy().tolist()
        [[2.0, 3.0]]
        >>> kerasbert.layers.PoolTokens("cls")(vectors, padding_mask).numpy().tolist()
        [[1.0, 2.0]]

    Args:
        how: "mean", "cls", or "max" of each dimension.
        **kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Raises:
        InputError: the pooling is unknown.
    """

    def __init__(self, how: str = "mean", **kwargs: Any):
        super().__init__(**kwargs)
        if how not in TOKEN_POOLINGS:
            raise InputError(f"pooling must be one of {', '.join(TOKEN_POOLINGS)}, found {how!r}")
        self.how = how

    def call(self, vectors: Any, padding_mask: Any) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        if self.how == "cls":
            return vectors[:, 0]
        is_token = ops.cast(padding_mask, vectors.dtype)[:, :, None]
        if self.how == "max":
            return ops.max(ops.where(is_token > 0, vectors, LOWEST), axis=1)
        return ops.sum(vectors * is_token, axis=1) / ops.maximum(ops.sum(is_token, axis=1), 1)

    def compute_output_shape(
        self, vectors_shape: tuple[Any, ...], padding_mask_shape: tuple[Any, ...] | None
    ) -> tuple[Any, ...]:
        """Returns the shape of the output, as Keras asks for."""
        return (vectors_shape[0], vectors_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, in JSON types."""
        return {**super().get_config(), "how": self.how}
