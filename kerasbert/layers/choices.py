"""Scores of the choices of a question."""

import keras
from keras import ops

_NO_CHOICE = -1e9


@keras.saving.register_keras_serializable("kerasbert")
class ChoiceScores(keras.layers.Layer):
    """Puts the scores of a question's choices side by side.

    Call: scores (batch * choices, 1), `padding_mask` (batch, choices, sequence) -> (batch,
    choices). A choice without a real token only fills up the batch; its score is -1e9.
    """

    def call(self, scores, padding_mask):
        is_choice = padding_mask[:, :, 0] > 0
        return ops.where(is_choice, ops.reshape(scores, ops.shape(is_choice)), _NO_CHOICE)

    def compute_output_shape(self, scores_shape, padding_mask_shape):
        return padding_mask_shape[:2]
