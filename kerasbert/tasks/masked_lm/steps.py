"""Training steps that keep no logits of the vocabulary."""

from typing import Any

import keras

from kerasbert import _compat
from kerasbert.features import MLM_LABELS, MLM_LOGITS
from kerasbert.layers import backends
from kerasbert.layers.vocabulary_loss import labels_given
from kerasbert.tasks.cross_entropy import are_cross_entropy
from kerasbert.tasks.task import Task


class StepsWithoutLogits(Task):
    """A task whose compiled steps get losses instead of logits from its `MLMHead`."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Returns logits; for features with `mlm_labels`, outcomes (see `MLMHead`).

        Args:
            inputs: dict of features.
            training: as in Keras.
            mask: as in Keras.
        """
        inputs = dict(inputs)
        with labels_given(inputs.pop(MLM_LABELS, None)):
            return super().call(inputs, training=training, mask=mask)

    def step_data(self, data: Any) -> Any:
        """Adds labels to the features, if losses are computed without keeping all logits.

        Args:
            data: a batch, as `fit` takes it.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if y is None or not self._needs_no_logits:
            return data
        return {**x, MLM_LABELS: mlm_logits(y)}, y, sample_weight

    @property
    def _needs_no_logits(self) -> bool:
        kinds = ("metrics", "weighted_metrics")
        return (
            self.needs_few_shapes
            and backends.vocabulary_parts(self.backbone.config.vocabulary_size) > 1
            and are_cross_entropy(
                _compat.given_loss(self), [_compat.given_metrics(self, kind) for kind in kinds]
            )
        )


def mlm_logits(outputs: Any) -> Any:
    """Selects the masked-token part of a model's outputs, labels or weights."""
    return outputs[MLM_LOGITS] if isinstance(outputs, dict) else outputs
