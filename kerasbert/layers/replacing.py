"""Replacing masked tokens by samples of a generator."""

from typing import Any

import keras
from keras import ops

_DRAWS = 2.0**31  # integers are below it


@keras.saving.register_keras_serializable("kerasbert")
class ReplaceMasked(keras.layers.Layer):
    """Replaces masked tokens by samples from logits; nothing has a gradient.

    Call: float (batch, masked, vocabulary) logits; int (batch, sequence) token ids; int (batch,
    masked) positions, 0 where unused, original ids and random integers from 0 to below 2^31 - 1 ->
    int (batch, sequence) token ids, and 1 where a token differs from the original.
    """

    def call(
        self, logits: Any, token_ids: Any, positions: Any, original_ids: Any, draws: Any
    ) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        sampled = sample_tokens(ops.stop_gradient(logits), draws)
        used = ops.cast(positions > 0, "float32")[..., None]
        here = used * ops.one_hot(positions, ops.shape(token_ids)[1], dtype="float32")

        def at_positions(values):  # exact: ids are far below 2^24
            return ops.sum(here * ops.cast(values, "float32")[..., None], axis=1)

        is_masked = ops.sum(here, axis=1) > 0
        replaced = at_positions(ops.not_equal(sampled, original_ids))
        ids = ops.where(is_masked, ops.cast(at_positions(sampled), "int32"), token_ids)
        return ids, ops.cast(replaced, "int32")

    def compute_output_spec(
        self, logits: Any, token_ids: Any, positions: Any, original_ids: Any, draws: Any
    ) -> Any:
        """Returns shapes and dtypes of the outputs, as Keras asks for."""
        spec = keras.KerasTensor(token_ids.shape, "int32")
        return spec, keras.KerasTensor(token_ids.shape, "int32")


def sample_tokens(logits: Any, draws: Any) -> Any:
    """Samples one of the last axis's classes: the inverse of their cumulative probabilities.

    Args:
        logits: float (..., classes).
        draws: int (...), uniform from 0 to below 2^31 - 1.

    Returns:
        int32 (...).
    """
    cumulative = ops.cumsum(ops.softmax(ops.cast(logits, "float32"), axis=-1), axis=-1)
    uniform = (ops.cast(draws, "float32") + 0.5) / _DRAWS
    below = cumulative < (uniform * cumulative[..., -1])[..., None]
    sampled = ops.sum(ops.cast(below, "int32"), axis=-1)
    return ops.minimum(sampled, logits.shape[-1] - 1)
