"""Cross-entropy that also keeps the softmax's denominator near 1."""

from typing import Any

import keras
from keras import ops

from kerasbert.tasks.cross_entropy import CrossEntropy, cross_entropy


@keras.saving.register_keras_serializable("kerasbert")
class CrossEntropyWithZLoss(keras.losses.Loss):
    """Cross-entropy plus the squared log of the softmax's denominator (PaLM, 2204.02311, §5).

    Args:
        z_loss: weight of the square.
        **kwargs: as in `keras.losses.Loss`.
    """

    def __init__(self, z_loss: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.z_loss = z_loss
        self._cross_entropy = CrossEntropy()

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each position; shapes as in `CrossEntropy`."""
        loss = self._cross_entropy.call(y_true, y_pred)
        labels = ops.reshape(ops.cast(y_true, "int32"), ops.shape(loss))
        right = ops.take_along_axis(y_pred, labels[..., None], axis=-1)[..., 0]
        # Cross-entropy is the log of the denominator minus the label's logit.
        return loss + self.z_loss * ops.square(loss + right)

    def get_config(self) -> dict[str, Any]:
        """Returns the config."""
        return {**super().get_config(), "z_loss": self.z_loss}


def masked_token_loss(name: str, z_loss: float = 0.0) -> keras.losses.Loss:
    """Returns the loss of masked tokens, averaged over their weights."""
    if not z_loss:
        return cross_entropy(name)
    return CrossEntropyWithZLoss(z_loss, reduction="mean_with_sample_weight", name=name)
