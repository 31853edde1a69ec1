"""Masked language model + next sentence prediction: how BERT learns from plain text."""

import keras

from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.errors import InputError
from kerasbert.features import MLM_LOGITS, NSP_LOGITS, POOLED_OUTPUT
from kerasbert.layers.initializers import kernel_initializer
from kerasbert.tasks.cross_entropy import accuracy, cross_entropy
from kerasbert.tasks.masked_lm import MaskedLM
from kerasbert.tasks.task import Task
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class Pretrainer(MaskedLM):
    """Predicts masked tokens, and how two texts follow each other (BERT, §3.1; ALBERT, §3.1).

    Call: features and `mask_positions` -> `mlm_logits` (batch, masked, vocabulary) and
    `nsp_logits` (batch, 2), float32. `fit` on text masks and pairs it anew at every batch: a single
    text is cut in two, and half of the second parts are swapped within the batch.

    Args:
        backbone: the encoder; must have a pooler.
        objective: "nsp" (does the second text follow the first?) or "sop" (are they in order?).
        name: the model's name.
        **kwargs: as in `MaskedLM`.
    """

    heads_from = ("MaskedLM", "NextSentencePredictor")

    def __init__(
        self, backbone: Backbone, *, objective: str = "nsp", name: str = "pretrainer", **kwargs
    ):
        if objective not in ("nsp", "sop"):
            raise InputError(f"objective must be nsp or sop, found {objective!r}")
        if not backbone.config.pooler:
            raise InputError("Pretrainer needs a backbone with a pooler (pooler=True)")
        super().__init__(backbone, name=name, **kwargs)
        self.objective = objective

    @classmethod
    def needs_pooler(cls, config: BackboneConfig) -> bool:
        """Always."""
        return True

    @staticmethod
    def _model_outputs(backbone: Backbone, encoded: dict, logits) -> dict:
        nsp_head = keras.layers.Dense(
            2,
            kernel_initializer=kernel_initializer(backbone.config.initializer_range),
            dtype="float32",
            name="nsp_head",
        )
        return {MLM_LOGITS: logits, NSP_LOGITS: nsp_head(encoded[POOLED_OUTPUT])}

    def head_config(self) -> dict:
        """How text is masked and paired, and what the head is like."""
        return {**super().head_config(), "objective": self.objective}

    def compile(self, optimizer=None, loss=None, metrics=None, weighted_metrics=None, **kwargs):
        """Keras's `compile`; AdamW, both cross-entropies and both accuracies unless given.

        Each loss is the weighted mean over the places that are predicted (unused places of
        `mask_positions` weigh nothing); the total is their sum.
        """
        outputs = (MLM_LOGITS, NSP_LOGITS)
        Task.compile(
            self,
            optimizer=optimizer or adamw(1e-4),
            loss=loss or {name: cross_entropy(name) for name in outputs},
            metrics=metrics if metrics or weighted_metrics else {n: [accuracy()] for n in outputs},
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def make_preprocessor(self):
        """With masks and pairs as they are set."""
        from kerasbert.tasks.pretrainer.preprocessor import PretrainerPreprocessor

        return PretrainerPreprocessor(
            **self._text_settings(), **self._masking(), objective=self.objective
        )
