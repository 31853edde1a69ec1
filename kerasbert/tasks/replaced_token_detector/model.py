"""Replaced token detection, the objective of ELECTRA's discriminator."""

from typing import Any, Self

import keras
from keras import ops

from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.features import PADDING_MASK, SEQUENCE_OUTPUT
from kerasbert.tasks.cross_entropy import PositionMean
from kerasbert.tasks.heads import hidden_layer, output_layer
from kerasbert.tasks.task import Task
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.training.optimizers import adamw

# Keras's losses that average each row, which is too early for weights of tokens.
_LOSSES_OF_ROWS = (keras.losses.BinaryCrossentropy, keras.losses.BinaryFocalCrossentropy)


@keras.saving.register_keras_serializable("kerasbert")
class ReplacedTokenDetector(Task):
    """Predicts for every token whether it was replaced (ELECTRA, §2).

    Call: features -> logits, float32 (batch, sequence); above 0 means replaced. `fit` takes
    features and labels (batch, sequence), 1 for replaced tokens, with sample weights that are 0 at
    padding.

    Examples:
        The weights are random here; `ReplacedTokenDetector.from_preset(
        "hf://google/electra-small-discriminator")` loads trained ones.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "sky"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset(
        ...     "electra_small", vocabulary_size=len(words), num_layers=2
        ... )
        >>> model = kerasbert.ReplacedTokenDetector(kerasbert.Backbone(config), tokenizer=tokenizer)
        >>> logits = model.predict(["the sky barks"], verbose=0)
        >>> logits.shape  # with [CLS] and [SEP]
        (1, 5)

    Args:
        backbone: the encoder.
        tokenizer: as in `Task`.
        sequence_length: as in `Task`.
        name: model name.
    """

    needs_labels = True
    outputs_are = None
    outputs_for = PADDING_MASK

    @property
    def outputs_activation(self) -> str:
        """Activation that makes outputs probabilities: each token's that it was replaced."""
        return "sigmoid"

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        name: str = "replaced_token_detector",
    ):
        # === Layers ===
        hidden = hidden_layer(backbone, backbone.config.activation, "rtd_hidden")
        head = output_layer(backbone, 1, "rtd_head")

        # === Functional model ===
        inputs = feature_inputs()
        logits = head(hidden(backbone(inputs)[SEQUENCE_OUTPUT]))[..., 0]
        super().__init__(
            backbone,
            inputs,
            logits,
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Compiles the model; by default with AdamW, binary cross-entropy and accuracy.

        Args:
            optimizer: as in Keras; None: `kerasbert.training.adamw(1e-4)`.
            loss: as in Keras; None: binary cross-entropy on logits. Keras's binary
                cross-entropies are weighted by token, too.
            metrics: as in Keras; None: accuracy. They are weighted, too.
            weighted_metrics: as in Keras.
            **kwargs: as in `Task.compile`.

        Examples:
            >>> import numpy as np
            >>> model.compile()
            >>> features = model.preprocessor(["the sky barks"])
            >>> labels = np.array([[0, 0, 1, 0, 0]])
            >>> history = model.fit(features, labels, verbose=0)
        """
        super().compile(
            optimizer=optimizer or adamw(1e-4),
            loss=loss or TokenCrossentropy(),
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def _default_metrics(self) -> Any:
        return ["accuracy"]

    def _losses_on_logits(self, loss: Any) -> Any:
        loss = super()._losses_on_logits(loss)
        return LossOfTokens(loss) if type(loss) in _LOSSES_OF_ROWS else loss

    def accuracy_metric(self, name: str) -> Any:
        """Returns the metric for the share of correctly classified tokens, weighted.

        Args:
            name: name of the metric.
        """
        return PositionMean(is_replaced_as_said, name=name)

    def make_preprocessor(self) -> Any:
        """Creates the preprocessor for single texts."""
        from kerasbert.tasks.replaced_token_detector.preprocessor import (
            ReplacedTokenDetectorPreprocessor,
        )

        return ReplacedTokenDetectorPreprocessor(**self._text_settings())


@keras.saving.register_keras_serializable("kerasbert")
def is_replaced_as_said(y_true: Any, y_pred: Any) -> Any:
    """Returns 1.0 where the sign of the logit agrees with the label, else 0.0."""
    return ops.cast(ops.equal(ops.cast(y_true, "bool"), y_pred > 0), keras.config.floatx())


@keras.saving.register_keras_serializable("kerasbert")
class LossOfTokens(keras.losses.Loss):
    """Averages a loss of Keras over the weights of tokens, instead of first over each row.

    Args:
        loss: loss that is a mean over the last axis.
        name: loss name; None: that of the loss.
    """

    def __init__(self, loss: keras.losses.Loss, name: str | None = None):
        super().__init__(name=name or loss.name, reduction="mean_with_sample_weight")
        self.loss = loss

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each token, (batch, sequence)."""
        return self.loss.call(ops.expand_dims(y_true, -1), ops.expand_dims(y_pred, -1))

    def get_config(self) -> dict[str, Any]:
        """Returns the loss and the name."""
        return {"loss": keras.saving.serialize_keras_object(self.loss), "name": self.name}

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Creates the loss from the result of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["loss"]), config["name"])


@keras.saving.register_keras_serializable("kerasbert")
class TokenCrossentropy(keras.losses.Loss):
    """Binary cross-entropy on token logits, averaged over the weights of tokens."""

    def __init__(self, name: str = "replaced_token"):
        super().__init__(name=name, reduction="mean_with_sample_weight")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each token, (batch, sequence)."""
        return ops.binary_crossentropy(ops.cast(y_true, y_pred.dtype), y_pred, from_logits=True)

    def get_config(self) -> dict[str, Any]:
        """Returns the name."""
        return {"name": self.name}
