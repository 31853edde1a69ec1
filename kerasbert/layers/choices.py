"""Scores of choices."""

import keras
from keras import ops

_NO_CHOICE = -1e9


@keras.saving.register_keras_serializable("kerasbert")
class ChoiceScores(keras.layers.Layer):
    """Arranges the scores of choices by question.

    Call: scores (batch * choices, 1), `padding_mask` (batch, choices, sequence) -> (batch,
    choices). A choice that is all padding does not exist; its score is -1e9.
    """

    def call(self, scores, padding_mask):
        is_choice = padding_mask[:, :, 0] > 0
        return ops.where(is_choice, ops.reshape(scores, ops.shape(is_choice)), _NO_CHOICE)

    def compute_output_shape(self, scores_shape, padding_mask_shape):
        return padding_mask_shape[:2]
