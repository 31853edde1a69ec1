"""Multiple choice: which of several choices goes with a text."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbert.backbone import Backbone, BackboneConfig, cls_position
from kerasbert.data.inputs import as_string, is_stream, plain
from kerasbert.errors import InputError
from kerasbert.features import CHOICES, PADDING_MASK, POOLED_OUTPUT, SEQUENCE_OUTPUT, is_text
from kerasbert.layers import ChoiceScores, Dropout
from kerasbert.layers.choices import NEVER
from kerasbert.tasks.chunks import chunk_inputs, fold_chunks
from kerasbert.tasks.heads import hidden_layer, output_layer
from kerasbert.tasks.outputs import softmax
from kerasbert.tasks.results import Results
from kerasbert.tasks.task import Task
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.training.optimizers import adamw


class Choice(NamedTuple):
    """A chosen text.

    Attributes:
        text: the choice.
        score: its probability among the choices of its example.

    Examples:
        >>> import kerasbert
        >>> choice = kerasbert.tasks.Choice("Umbrella", 0.9)
        >>> choice.text, choice.score
        ('Umbrella', 0.9)
    """

    text: str
    score: float


@keras.saving.register_keras_serializable("kerasbert")
class MultipleChoice(Task):
    """Scores each `[CLS] text [SEP] choice [SEP]` with a linear layer (BERT, §4.4).

    The linear layer follows BERT's pooler or, in families without one, a hidden layer as in
    transformers' `...ForMultipleChoice`.

    Call: features, int32 (batch, choices, sequence) -> logits, float32 (batch, choices). Rows may
    have different numbers of choices: a choice whose `padding_mask` is all 0 does not exist, and
    its logit is -1e9. As text, `x` is a dict of `text`, strings, and `choices`, lists of strings,
    in which empty strings do not count. Labels of `fit` and `evaluate` are indices of choices or,
    with text, the correct choices themselves.

    Examples:
        A model with random weights learns a choice. `from_preset` starts from a pretrained
        encoder: `MultipleChoice.from_preset("hf://google-bert/bert-base-uncased")`.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "rain", "sun", "hat", "umbrella"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.MultipleChoice(kerasbert.Backbone(config), tokenizer=tokenizer)
        >>> model.compile(kerasbert.training.adamw(1e-3))
        >>> x = {"text": ["Rain"] * 200, "choices": [["Hat", "Umbrella"]] * 200}
        >>> history = model.fit(x, ["Umbrella"] * 200, batch_size=8, verbose=0)
        >>> chosen = model.choose(["Rain"], [["Hat", "Umbrella"]])[0]
        >>> chosen.text, chosen.score > 0.5
        ('Umbrella', True)

    Args:
        backbone: the encoder.
        tokenizer: as in `Task`.
        sequence_length: as in `Task`.
        dropout: dropout rate before the linear layer; None: the backbone's.
        name: model name.

    Raises:
        InputError: the head needs a pooler, which the backbone does not have.
    """

    needs_labels = True
    pipeline_tag = "multiple-choice"
    output_padding = NEVER
    example_call = 'model.choose(["A text."], [["a choice", "another"]])'

    def __init__(
        self,
        backbone: Backbone,
        *,
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        dropout: float | None = None,
        name: str = "multiple_choice",
    ):
        config = backbone.config
        if self.needs_pooler(config) and not config.pooler:
            raise InputError("MultipleChoice needs a backbone with a pooler (pooler=True)")

        # === Layers ===
        rate = config.dropout if dropout is None else dropout
        hidden = not self.needs_pooler(config) and hidden_layer(
            backbone, config.classifier_activation, "choice_hidden"
        )
        drop = Dropout(rate, name="choice_dropout")
        head = output_layer(backbone, 1, "choice_head")

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
        self.dropout_rate = dropout  # None stays None: the rate of any backbone it is loaded with

    @classmethod
    def needs_pooler(cls, config: BackboneConfig) -> bool:
        """Whether the head uses the backbone's pooler.

        It does unless the family's classifiers have a hidden layer of another activation. RoBERTa's
        is tanh as well, and transformers then uses the pooler for multiple choice.
        """
        return config.classifier_activation in (None, "tanh")

    def head_config(self) -> dict[str, Any]:
        """Returns the dropout rate."""
        return {"dropout": self.dropout_rate}

    def compile(
        self, optimizer: Any = None, loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Compiles the model; by default with AdamW, cross-entropy over choices and accuracy.

        Args:
            optimizer: as in Keras; None: `kerasbert.training.adamw(2e-5)`.
            loss: as in Keras; None: cross-entropy on logits.
            metrics: as in Keras; None: accuracy.
            **kwargs: as in `Task.compile`.

        Examples:
            >>> model.compile(kerasbert.training.adamw(5e-5))
        """
        super().compile(
            optimizer=optimizer or adamw(2e-5),  # BERT, §4.4
            loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=metrics,
            **kwargs,
        )

    def _default_metrics(self) -> Any:
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    # === Text ===

    def make_preprocessor(self) -> Any:
        """Creates the preprocessor for texts and choices."""
        from kerasbert.tasks.multiple_choice.preprocessor import MultipleChoicePreprocessor

        return MultipleChoicePreprocessor(**self._text_settings())

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Predicts as in `Task`; logits of texts are padded to the largest number of choices."""
        if is_text(x) and not is_stream(x) and not hasattr(x, "element_spec"):
            x = _filled(self._text.columns(x))
        return super().predict(x, *args, **kwargs)

    def choose(
        self, texts: Sequence[str], choices: Sequence[Sequence[str]], *, batch_size: int = 32
    ) -> Results[Choice]:
        """Chooses for each text.

        Args:
            texts: strings, or a single one.
            choices: for each text, any number of strings.
            batch_size: texts per batch.

        Returns:
            For each text a `Choice`, the best one and its probability among the text's choices;
            ("", 0.0) if there are none.

        Examples:
            >>> chosen = model.choose(["Rain"], [["Hat", "Umbrella", "Sun"]])[0]
            >>> chosen.text, chosen.score > 1 / 3
            ('Umbrella', True)
        """
        columns = _filled(self._text.columns((texts, choices)))
        if not len(columns[CHOICES]):
            return Results()
        logits = self._outputs_of(columns, batch_size)
        chosen = zip(logits.argmax(axis=1), softmax(logits).max(axis=1), strict=True)
        return Results(
            Choice(as_string(own[best]), float(score)) if any(own) else Choice("", 0.0)
            for own, (best, score) in zip(columns[CHOICES], chosen, strict=True)
        )

    def score(self, x: Any, y: Any, *, batch_size: int = 32) -> dict[str, float]:
        """Returns `accuracy`, the share of correct choices, as for SWAG, HellaSwag and RACE.

        Args:
            x: a dict of `text` and `choices`.
            y: indices of the correct choices, or the choices themselves.
            batch_size: texts per batch.

        Raises:
            InputError: there are no examples, or a label is no choice.

        Examples:
            >>> model.score({"text": ["Rain"], "choices": [["Umbrella", "Hat"]]}, [0])
            {'accuracy': 1.0}
        """
        self._check_labels(x, y)
        rows = self._text.rows(x, y)
        if not len(rows):
            raise InputError(f"{self.name}: there are no examples")
        chosen = self._outputs_of(_filled(rows.x), batch_size).argmax(axis=1)
        return {"accuracy": float(np.mean(chosen == rows.y))}


def _filled(columns: dict) -> dict:
    """Pads the choices of each row with empty strings to the same number."""
    choices = [list(row) for row in plain(columns[CHOICES])]
    width = max(map(len, choices), default=0)
    return {**columns, CHOICES: [row + [""] * (width - len(row)) for row in choices]}
