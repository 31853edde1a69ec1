"""Preprocessing for pretraining: masked pairs of texts."""

from __future__ import annotations

import dataclasses
from typing import Any

from kerasbert.data.pretraining import from_text
from kerasbert.features import MLM_LOGITS, NSP_LOGITS
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks import graph_labels
from kerasbert.tasks.labels import class_indices
from kerasbert.tasks.masked_lm.preprocessor import MaskedLMPreprocessor

#: 0: the second text follows the first; 1: it does not.
_CLASSES = ("0", "1")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PretrainerPreprocessor(MaskedLMPreprocessor):
    """Makes masked pairs of texts; see `Pretrainer`.

    Attributes:
        objective: "nsp" or "sop".
    """

    objective: str = "nsp"

    compares_rows = True  # they exchange their second parts

    def labels(self, y: Any, columns: dict[str, Any]) -> Any:
        """Returns 0 where the second text follows the first, else 1."""
        return class_indices("y", y, _CLASSES)

    def targets(self, y: Any, row: dict[str, Any]) -> Any:
        """Does the same as `labels`, in the graph."""
        return graph_labels.class_indices(y, _CLASSES)

    def training_examples(
        self, number: Any, row: dict[str, Any], y: Any, sample_weight: Any
    ) -> tuple[Any, ...]:
        """Masks and pairs a batch of texts; `y`, if given, labels the pairs (1: not next).

        The weight of a text is that of its masks, and of the pair that it begins.
        """
        features, labels, weights = from_text.examples_from_text(
            packer=self.packer,
            masking=self.masking,
            seed=(self.seed, number),
            nsp_labels=y,
            objective=self.objective,
            **row,
        )
        if sample_weight is not None:
            of_rows = tf.cast(sample_weight, tf.float32)
            weights[MLM_LOGITS] *= of_rows[:, tf.newaxis]
            weights[NSP_LOGITS] *= of_rows
        return features, labels, weights
