"""Pretraining as in BERT: masked language modeling and next sentence prediction."""

from typing import Any

import keras

from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.errors import InputError
from kerasbert.features import MLM_LOGITS, NSP_LOGITS, POOLED_OUTPUT
from kerasbert.tasks.cross_entropy import accuracy, cross_entropy
from kerasbert.tasks.heads import output_layer
from kerasbert.tasks.masked_lm import MaskedLM
from kerasbert.tasks.task import Task
from kerasbert.tasks.z_loss import masked_token_loss
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class Pretrainer(MaskedLM):
    """Predicts masked tokens, and how two texts follow each other (BERT, §3.1; ALBERT, §3.1).

    Call: features and `mask_positions` -> `mlm_logits`, float32 (batch, masked, vocabulary), and
    `nsp_logits`, float32 (batch, 2). `fit` on text masks and pairs each batch anew: a single text
    is split in two, and half of the second parts are exchanged within the batch.

    Examples:
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.Pretrainer(
        ...     kerasbert.Backbone(config), tokenizer=tokenizer, sequence_length=16
        ... )
        >>> model.compile()
        >>> history = model.fit(["The dog barks. The dog."] * 8, verbose=0)
        >>> sorted(history.history)
        ['loss', 'mlm_logits_accuracy', 'mlm_logits_loss', 'nsp_logits_accuracy', 'nsp_logits_loss']

        Other tasks continue from its encoder, and `MaskedLM` from its head, too:

        >>> paths = model.save_to_preset("pretrained")
        >>> kerasbert.MaskedLM.from_preset("pretrained").uninitialized_weights
        []

    Args:
        backbone: the encoder, with a pooler.
        objective: "nsp" (whether the second text follows the first) or "sop" (whether the two are
            in order).
        name: model name.
        **kwargs: as in `MaskedLM`.

    Raises:
        InputError: the objective is unknown, the backbone has no pooler, or as in `MaskedLM`.
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
        """Returns True: the head always uses the pooler.

        Args:
            config: the encoder's.
        """
        return True

    @staticmethod
    def _model_outputs(backbone: Backbone, encoded: dict, logits) -> dict:
        nsp_head = output_layer(backbone, 2, "nsp_head")
        return {MLM_LOGITS: logits, NSP_LOGITS: nsp_head(encoded[POOLED_OUTPUT])}

    def head_config(self) -> dict[str, Any]:
        """Returns the settings of masks, pairs and head."""
        return {**super().head_config(), "objective": self.objective}

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        z_loss: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Compiles the model; by default with AdamW, two cross-entropies and two accuracies.

        Each loss is the weighted mean over the predicted positions (unused entries of
        `mask_positions` must have weight 0); the total loss is their sum.

        Args:
            optimizer: as in Keras; None: `kerasbert.training.adamw(1e-4)`.
            loss: as in Keras; None: cross-entropy on the logits of both outputs.
            metrics: as in Keras; None: accuracy of both outputs. They are weighted, too.
            weighted_metrics: as in Keras.
            z_loss: as in `MaskedLM.compile`.
            **kwargs: as in `Task.compile`.

        Examples:
            >>> model.compile(kerasbert.training.lamb(1e-3), accumulation_steps=2)
        """
        Task.compile(
            self,
            optimizer=optimizer or adamw(1e-4),
            loss=loss
            or {
                MLM_LOGITS: masked_token_loss(MLM_LOGITS, z_loss),
                NSP_LOGITS: cross_entropy(NSP_LOGITS),
            },
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def _default_metrics(self) -> Any:
        return {name: [accuracy()] for name in (MLM_LOGITS, NSP_LOGITS)}

    def make_preprocessor(self) -> Any:
        """Creates the preprocessor with this model's masking and objective."""
        from kerasbert.tasks.pretrainer.preprocessor import PretrainerPreprocessor

        return PretrainerPreprocessor(
            **self._text_settings(), **self._masking(), objective=self.objective
        )
