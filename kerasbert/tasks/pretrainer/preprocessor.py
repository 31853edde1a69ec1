"""Texts, or pairs of them -> masked pairs that BERT is pretrained on."""

import dataclasses

from kerasbert.data import text_pretraining
from kerasbert.tasks.labels import class_indices
from kerasbert.tasks.masked_lm.preprocessor import MaskedLMPreprocessor


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PretrainerPreprocessor(MaskedLMPreprocessor):
    """See `Pretrainer`.

    Attributes:
        objective: "nsp" or "sop".
    """

    objective: str = "nsp"

    def labels(self, y, columns: dict):
        """Whether the second text follows the first, 0, or does not, 1."""
        return class_indices("y", y, ("0", "1"))

    def targets(self, y, row: dict):
        """As they are given."""
        return y

    def training_examples(self, number, row: dict, y, sample_weight) -> tuple:
        """Masks and pairs a batch of texts; a given `y` labels the pairs (1: does not follow)."""
        return text_pretraining.examples_from_text(
            packer=self.packer,
            masking=self.masking,
            seed=(self.seed, number),
            nsp_labels=y,
            objective=self.objective,
            **row,
        )
