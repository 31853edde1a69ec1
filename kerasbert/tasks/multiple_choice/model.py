"""A text and things that may go with it -> which of them does."""

from collections.abc import Sequence

import keras
import numpy as np

from kerasbert.backbone import Backbone, BackboneConfig, cls_position
from kerasbert.data.inputs import plain
from kerasbert.errors import InputError
from kerasbert.features import CHOICES, PADDING_MASK, POOLED_OUTPUT, SEQUENCE_OUTPUT, is_text
from kerasbert.layers import ChoiceScores, Dropout
from kerasbert.layers.initializers import activation_function, kernel_initializer
from kerasbert.tasks.chunks import chunk_inputs, fold_chunks
from kerasbert.tasks.task import Task
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class MultipleChoice(Task):
    """The product of a learned vector with each `[CLS] text [SEP] choice [SEP]` (BERT, §4.4).

    BERT's pooler stands before it; a family that has none puts a layer of its own there, as
    transformers' `...ForMultipleChoice` do.

    Call: features (batch, choices, sequence) -> logits, float32 (batch, choices). A choice whose
    `padding_mask` is 0 throughout is none, and its logit is -1e9: rows may have different numbers
    of choices. With text, `x` is a dict of `text`, strings, and `choices`, lists of strings, of
    which an empty one is none; labels in `fit` and `evaluate` are indices of choices or, with text,
    the right choices themselves.

    Args:
        backbone: the encoder.
        tokenizer: see `Task`.
        sequence_length: see `Task`.
        dropout: rate before the linear layer; None: as the backbone's.
        name: the model's name.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        dropout: float | None = None,
        name: str = "multiple_choice",
    ):
        config = backbone.config
        if self.needs_pooler(config) and not config.pooler:
            raise InputError("MultipleChoice needs a backbone with a pooler (pooler=True)")

        # === Layers ===
        rate = config.dropout if dropout is None else dropout
        hidden = not self.needs_pooler(config) and keras.layers.Dense(
            config.hidden_dim,
            activation=activation_function(config.classifier_activation),
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype=backbone.embeddings.dtype_policy,
            name="choice_hidden",
        )
        drop = Dropout(rate, name="choice_dropout")
        head = keras.layers.Dense(
            1,
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype="float32",
            name="choice_head",
        )

        # === Functional model ===
        inputs = chunk_inputs()
        rows = fold_chunks(inputs)
        encoded = backbone(rows, output_positions=cls_position(rows))
        x = hidden(encoded[SEQUENCE_OUTPUT][:, 0]) if hidden else encoded[POOLED_OUTPUT]
        scores = ChoiceScores(dtype="float32", name="choice_scores")
        super().__init__(
            backbone,
            inputs,
            scores(head(drop(x)), inputs[PADDING_MASK]),
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

        # === Config ===
        self.dropout_rate = dropout  # None stays None: as the backbone's, wherever it is loaded

    @classmethod
    def needs_pooler(cls, config: BackboneConfig) -> bool:
        """Unless the family's classifiers have another layer, which is no tanh of the first token.

        RoBERTa's is one, and for choices transformers uses the pooler in its place.
        """
        return config.classifier_activation in (None, "tanh")

    def head_config(self) -> dict:
        """The dropout."""
        return {"dropout": self.dropout_rate}

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        """Keras's `compile`; AdamW, cross-entropy over the choices and accuracy unless given."""
        super().compile(
            optimizer=optimizer or adamw(2e-5),  # BERT, §4.4
            loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=metrics or [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            **kwargs,
        )

    # === Text ===

    def make_preprocessor(self):
        """Of texts and choices."""
        from kerasbert.tasks.multiple_choice.preprocessor import MultipleChoicePreprocessor

        return MultipleChoicePreprocessor(**self._text_settings())

    def predict(self, x, *args, **kwargs):
        """As in `Task`; of text the logits of as many choices as there are at the most."""
        if is_text(x) and not hasattr(x, "element_spec"):
            x = _filled(self._text.columns(x))
        return super().predict(x, *args, **kwargs)

    def choose(
        self, texts: Sequence[str], choices: Sequence[Sequence[str]], *, batch_size: int = 32
    ) -> list[tuple[str, float]]:
        """Chooses for each text.

        Args:
            texts: strings, or one.
            choices: for each text, what may go with it; as many as there are.
            batch_size: texts at a time.

        Returns:
            For each text the choice and its probability among the text's choices; ("", 0.0) where
            there is none.
        """
        columns = _filled(self._text.columns((texts, choices)))
        choices = columns[CHOICES]
        if not len(choices):
            return []
        logits = self._outputs_of(columns, batch_size)
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        chosen = zip(logits.argmax(axis=1), scores.max(axis=1), strict=True)
        return [
            (own[best], float(score)) if any(own) else ("", 0.0)
            for own, (best, score) in zip(choices, chosen, strict=True)
        ]

    def score(self, x, y, *, batch_size: int = 32) -> dict[str, float]:
        """The share of right choices: `accuracy`, as SWAG, HellaSwag and RACE are scored.

        Args:
            x: a dict of `text` and `choices`.
            y: indices of the right choices, or the choices themselves.
            batch_size: texts at a time.
        """
        rows = self._text.rows(x, y)
        if not len(rows):
            raise InputError(f"{self.name}: there are no examples")
        chosen = self._outputs_of(_filled(rows.x), batch_size).argmax(axis=1)
        return {"accuracy": float(np.mean(chosen == rows.y))}


def _filled(columns: dict) -> dict:
    """Raw columns whose rows have as many choices each, of which an empty one is none."""
    choices = [list(row) for row in plain(columns[CHOICES])]
    width = max(map(len, choices), default=0)
    return {**columns, CHOICES: [row + [""] * (width - len(row)) for row in choices]}
