"""Scores of choices."""

from typing import Any

import keras
from keras import ops

#: Logit of what is not there, such as padding: its probability is 0.
NEVER = -1e9


@keras.saving.register_keras_serializable("kerasbert")
class ChoiceScores(keras.layers.Layer):
    """Arranges the scores of choices by question.

    Call: scores (batch * choices, 1), `padding_mask` (batch, choices, sequence) -> (batch,
    choices). A choice that is all padding does not exist; its score is -1e9.

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> scores = np.array([[0.5], [1.5], [2.5], [0.0]], "float32")
        >>> padding_mask = np.array([[[1, 1], [1, 0]], [[1, 1], [0, 0]]])
        >>> kerasbert.layers.ChoiceScores()(scores, padding_mask).numpy().tolist()
        [[0.5, 1.5], [2.5, -1000000000.0]]

    Args:
        **kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.
    """

    def call(self, scores: Any, padding_mask: Any) -> Any:
        """Computes the layer; see the class for arguments and outputs."""
        is_choice = padding_mask[:, :, 0] > 0
        return ops.where(is_choice, ops.reshape(scores, ops.shape(is_choice)), NEVER)

    def compute_output_shape(
        self, scores_shape: tuple[Any, ...], padding_mask_shape: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Returns the shape of the output, as Keras asks for."""
        return padding_mask_shape[:2]
