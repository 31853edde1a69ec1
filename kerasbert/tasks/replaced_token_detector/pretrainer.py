"""Pretraining of a replaced token detector together with a generator, as in ELECTRA."""

import dataclasses
import os
import pathlib
from typing import Any

import keras
from keras import ops

from kerasbert import checkpoints, files
from kerasbert.backbone import Backbone, BackboneConfig, feature_inputs
from kerasbert.checkpoints.model_files import GENERATOR, card_for
from kerasbert.errors import InputError
from kerasbert.features import (
    MASK_POSITIONS,
    MLM_LOGITS,
    ORIGINAL_IDS,
    PADDING_MASK,
    RTD_LOGITS,
    SAMPLING_DRAWS,
    SEGMENT_IDS,
    TOKEN_IDS,
)
from kerasbert.layers.replacing import ReplaceMasked
from kerasbert.tasks.cross_entropy import PositionMean, accuracy
from kerasbert.tasks.masked_lm import MaskedLM
from kerasbert.tasks.replaced_token_detector.model import (
    ReplacedTokenDetector,
    TokenCrossentropy,
    is_replaced_as_said,
)
from kerasbert.tasks.task import Task
from kerasbert.tasks.z_loss import masked_token_loss
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class ReplacedTokenPretrainer(Task):
    """Trains a generator on masked tokens, and a detector on the tokens that it samples (ELECTRA).

    Call: features, `mask_positions`, `original_ids` and `sampling_draws` -> `mlm_logits` of the
    generator, and `rtd_logits`, float32 (batch, sequence, 2): the detector's logits, and 1 where a
    token was replaced by another one. The generator's and the detector's embeddings are the same
    (ELECTRA, §3.2). A sample is the inverse of the cumulative probabilities at a number in
    `sampling_draws`, so a step is a function of its batch.

    Args:
        backbone: the encoder of the detector.
        generator_size: the generator's width and heads, relative to the detector's.
        tokenizer: as in `Task`.
        sequence_length: as in `Task`.
        name: model name.

    Raises:
        InputError: `generator_size` gives no encoder.
    """

    outputs_are = None
    outputs_for = MASK_POSITIONS

    def __init__(
        self,
        backbone: Backbone,
        *,
        generator_size: float = 0.25,
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        name: str = "replaced_token_pretrainer",
    ):
        text = {"tokenizer": tokenizer, "sequence_length": sequence_length}
        small = Backbone(
            generator_config(backbone.config, generator_size),
            dtype=backbone.embeddings.dtype_policy,
            embeddings_of=backbone,
        )
        generator, detector = MaskedLM(small, **text), ReplacedTokenDetector(backbone, **text)

        # === Functional model ===
        features = feature_inputs()
        names = (MASK_POSITIONS, ORIGINAL_IDS, SAMPLING_DRAWS)
        masked = {name: keras.Input((None,), dtype="int32", name=name) for name in names}
        mlm_logits = generator({**features, MASK_POSITIONS: masked[MASK_POSITIONS]})
        token_ids, is_replaced = ReplaceMasked(name="replace_masked")(
            mlm_logits, features[TOKEN_IDS], *masked.values()
        )
        kept = {name: features[name] for name in (PADDING_MASK, SEGMENT_IDS)}
        logits = detector({TOKEN_IDS: token_ids, **kept})
        outputs = {
            MLM_LOGITS: mlm_logits,
            RTD_LOGITS: ops.stack([logits, ops.cast(is_replaced, "float32")], axis=-1),
        }
        super().__init__(backbone, {**features, **masked}, outputs, **text, name=name)

        # === Config ===
        self.generator_size = generator_size
        self.generator = generator
        self.detector = detector

    def head_config(self) -> dict[str, Any]:
        """Returns the size of the generator."""
        return {"generator_size": self.generator_size}

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        detector_weight: float = 50.0,
        z_loss: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Compiles the model; the loss is MLM's, plus the detector's times a weight.

        Args:
            optimizer: as in Keras; default: AdamW.
            loss: as in Keras; default: the mean over masked tokens, and over unpadded tokens.
            metrics: as in Keras; default: both accuracies.
            weighted_metrics: as in Keras.
            detector_weight: weight of the detector's loss (ELECTRA, appendix A), unless there are
                `loss_weights`, as in Keras.
            z_loss: as in `MaskedLM.compile`.
            **kwargs: as in `Task.compile`.
        """
        kwargs.setdefault("loss_weights", {MLM_LOGITS: 1.0, RTD_LOGITS: detector_weight})
        super().compile(
            optimizer=optimizer or adamw(5e-4),
            loss=loss
            or {MLM_LOGITS: masked_token_loss(MLM_LOGITS, z_loss), RTD_LOGITS: DetectionLoss()},
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def _default_metrics(self) -> Any:
        agreeing = PositionMean(is_detected, name="accuracy")
        return {MLM_LOGITS: [accuracy()], RTD_LOGITS: [agreeing]}

    def card_text(self, card: Any = None, *, format: str = "kerasbert") -> str:
        """Returns the model card of the detector, as `Task.card_text` does."""
        return self.detector.card_text(card, format=format)

    def save_to_preset(
        self,
        directory: str | os.PathLike[str],
        *,
        format: str = "kerasbert",
        card: Any = None,
        overwrite: bool = False,
    ) -> checkpoints.SavedWeights:
        """Writes the detector, and the generator to the directory `generator` in it, atomically.

        Args:
            directory: as in `Task.save_to_preset`.
            format: as in `Task.save_to_preset`.
            card: as in `Task.save_to_preset`, of the detector.
            overwrite: as in `Task.save_to_preset`.

        Returns:
            The weights' names of the detector; as in `Task.save_to_preset`.
        """
        check = checkpoints.check_replaceable
        with files.new_directory(directory, overwrite=overwrite, check=check) as temporary:
            inside = temporary / "detector"
            text = card if isinstance(card, str) else self.card_text(card, format=format)
            text = card_for(pathlib.Path(directory), text, format)
            names = self.detector.save_to_preset(inside, format=format, card=text)
            for path in inside.iterdir():
                path.rename(temporary / path.name)
            inside.rmdir()
            own = self.generator.card_text(format=format)
            own = card_for(pathlib.Path(directory, GENERATOR), own, format)
            self.generator.save_to_preset(temporary / GENERATOR, format=format, card=own)
        return checkpoints.SavedWeights(names, directory)


def generator_config(config: BackboneConfig, size: float) -> BackboneConfig:
    """Returns the config of a generator, as google-research/electra's `get_generator_config` does.

    Args:
        config: the detector's.
        size: width and heads of the generator, relative to the detector's.

    Raises:
        InputError: the width is 0, or its heads don't divide it.
    """
    width, heads = int(size * config.hidden_dim), max(1, int(size * config.num_heads))
    if not width or width % heads:
        raise InputError(
            f"generator_size={size}: gives a width of {width} with {heads} heads; choose another"
        )
    embedding = config.embedding_dim or config.hidden_dim
    return dataclasses.replace(
        config,
        hidden_dim=width,
        num_heads=heads,
        intermediate_dim=max(1, int(size * config.intermediate_dim)),
        embedding_dim=None if embedding == width else embedding,
        pooler=False,
    )


@keras.saving.register_keras_serializable("kerasbert")
def is_detected(y_true: Any, y_pred: Any) -> Any:
    """Returns 1.0 where the detector is right, else 0.0; labels are in `y_pred`."""
    return is_replaced_as_said(y_pred[..., 1], y_pred[..., 0])


@keras.saving.register_keras_serializable("kerasbert")
class DetectionLoss(TokenCrossentropy):
    """Binary cross-entropy of `rtd_logits`, whose labels are in the outputs, by token weights."""

    def __init__(self, name: str = "detection"):
        super().__init__(name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each token, (batch, sequence)."""
        return super().call(ops.stop_gradient(y_pred[..., 1]), y_pred[..., 0])
