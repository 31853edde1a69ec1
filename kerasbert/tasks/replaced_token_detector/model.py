"""Replaced-token detection: which tokens did a generator put in? How ELECTRA learns."""

import keras
from keras import ops

from kerasbert.backbone import Backbone, feature_inputs
from kerasbert.features import PADDING_MASK, SEQUENCE_OUTPUT
from kerasbert.layers.initializers import activation_function, kernel_initializer
from kerasbert.tasks.cross_entropy import PositionMean
from kerasbert.tasks.task import Task
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class ReplacedTokenDetector(Task):
    """Tells for every token whether it was replaced (ELECTRA, §2).

    Call: features -> logits, float32 (batch, sequence); above 0 means replaced. `fit` takes
    features and labels, 1 where a token was replaced, with sample weights that leave padding out.

    Args:
        backbone: the encoder.
        tokenizer: see `Task`.
        sequence_length: see `Task`.
        name: the model's name.
    """

    outputs_are = None
    outputs_activation = "sigmoid"
    outputs_for = PADDING_MASK

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        name: str = "replaced_token_detector",
    ):
        config = backbone.config

        # === Layers ===
        hidden = keras.layers.Dense(
            config.hidden_dim,
            activation=activation_function(config.activation),
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype=backbone.embeddings.dtype_policy,
            name="rtd_hidden",
        )
        head = keras.layers.Dense(
            1,
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype="float32",
            name="rtd_head",
        )

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

    def compile(self, optimizer=None, loss=None, metrics=None, weighted_metrics=None, **kwargs):
        """Keras's `compile`; AdamW, binary cross-entropy and accuracy unless given."""
        if loss in (None, "binary_crossentropy", "bce"):
            loss = TokenCrossentropy()
        super().compile(
            optimizer=optimizer or adamw(1e-4),
            loss=loss,
            metrics=metrics if metrics or weighted_metrics else ["accuracy"],
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def accuracy_metric(self, name: str):
        """The share of tokens of which it is known whether they were replaced."""
        return PositionMean(is_replaced_as_said, name=name)

    def make_preprocessor(self):
        """Of single texts."""
        from kerasbert.tasks.replaced_token_detector.preprocessor import (
            ReplacedTokenDetectorPreprocessor,
        )

        return ReplacedTokenDetectorPreprocessor(**self._text_settings())


@keras.saving.register_keras_serializable("kerasbert")
def is_replaced_as_said(y_true, y_pred):
    """1.0 where the logit is above 0 for label 1, or not for label 0, else 0.0."""
    return ops.cast(ops.equal(ops.cast(y_true, "bool"), y_pred > 0), keras.config.floatx())


@keras.saving.register_keras_serializable("kerasbert")
class TokenCrossentropy(keras.losses.Loss):
    """Binary cross-entropy on the logits of tokens, the mean over what has weight.

    Keras's own is a mean over each row, which a weight for each token comes too late for.
    """

    def __init__(self, name: str = "replaced_token"):
        super().__init__(name=name, reduction="mean_with_sample_weight")

    def call(self, y_true, y_pred):
        """The loss of each token, (batch, sequence)."""
        return ops.binary_crossentropy(ops.cast(y_true, y_pred.dtype), y_pred, from_logits=True)

    def get_config(self) -> dict:
        """Its name."""
        return {"name": self.name}
