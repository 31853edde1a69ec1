"""A text, or a pair of texts -> one of several classes, any number of them, or a number."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasbert import _compat, checkpoints, renamed
from kerasbert.backbone import Backbone, BackboneConfig, cls_position, feature_inputs
from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK, POOLED_OUTPUT, SEQUENCE_OUTPUT
from kerasbert.layers import Dropout, PoolChunks
from kerasbert.layers.initializers import activation_function, kernel_initializer
from kerasbert.tasks.chunks import check_chunks, chunk_inputs, fold_chunks
from kerasbert.tasks.labels import class_names
from kerasbert.tasks.task import Task
from kerasbert.tasks.text_classifier.problem_types import PROBLEM_TYPES, SmoothedCrossentropy
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class TextClassifier(Task):
    """The first token, `[CLS]`, through dropout and a linear layer (BERT, §4.1).

    BERT's pooler stands before them; a family that has none puts a layer of its own there (see
    `classifier_activation` in `BackboneConfig`).

    Call: features -> logits, float32 (batch, classes).

    Labels in `fit`, `evaluate` and `score`, with text, by `problem_type`:

    - "single_label_classification": class names, or indices; where `classes` are whole numbers, so
      are their names, and numbers are names;
    - "multi_label_classification": for each example a list of names, perhaps empty, or 0 and 1 for
      every class;
    - "regression": a number, or as many as there are classes.

    With ready features they are what the loss takes: indices; 0 and 1; floats (batch, numbers).

    Long texts: with `long_text`, a text beyond `sequence_length` is cut into chunks, the encoder
    reads each, and their vectors are pooled before the linear layer; features are (batch, chunks,
    sequence) then. A text of one chunk gets what a model without `long_text` gives it. `max_chunks`
    bounds time and memory: what is beyond is tokenized but not read.

    Args:
        backbone: the encoder.
        classes: the class names in the order of the logits, how many there are, or a dict from
            indices to names; of a regression the names of its numbers, None: one, "value".
        problem_type: see above.
        tokenizer: see `Task`.
        sequence_length: see `Task`; with `long_text` a chunk's.
        pair: whether an example is two texts.
        dropout: rate before the linear layer; None: as the backbone's.
        threshold: score from which on one of several labels is predicted.
        long_text: how chunks are pooled, "mean", "max" or "attention" (see
            `kerasbert.layers.PoolChunks`); None: what is beyond `sequence_length` is cut off.
        max_chunks: chunks a text may have.
        chunk_overlap: tokens that a chunk repeats of the one before it.
        name: the model's name.
    """

    head_arguments = ("classes", "problem_type")

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str] | int | None = None,
        *,
        problem_type: str = "single_label_classification",
        tokenizer=None,
        sequence_length: int | None = None,
        pair: bool = False,
        dropout: float | None = None,
        threshold: float = 0.5,
        long_text: str | None = None,
        max_chunks: int = 8,
        chunk_overlap: int = 0,
        name: str = "text_classifier",
    ):
        if problem_type not in PROBLEM_TYPES:
            raise InputError(
                f"problem_type must be one of {', '.join(PROBLEM_TYPES)}, found {problem_type!r}"
            )
        if problem_type == "regression":
            names = class_names(
                type(self).__name__, ["value"] if classes is None else classes, at_least=1
            )
        else:
            names = class_names(type(self).__name__, classes)
        _check_threshold(threshold)
        config = backbone.config
        if self.needs_pooler(config) and not config.pooler:
            raise InputError("TextClassifier needs a backbone with a pooler (pooler=True)")

        # === Layers ===
        rate = config.dropout if dropout is None else dropout
        drop = Dropout(rate, name="classifier_dropout")
        hidden = config.classifier_activation and keras.layers.Dense(
            config.hidden_dim,
            activation=activation_function(config.classifier_activation),
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype=backbone.embeddings.dtype_policy,
            name="classifier_hidden",
        )
        pool = long_text and PoolChunks(
            long_text, config.initializer_range, dtype="float32", name="pool_chunks"
        )
        classifier = keras.layers.Dense(
            len(names),
            kernel_initializer=kernel_initializer(config.initializer_range),
            dtype="float32",
            name="classifier",
        )

        # === Functional model ===
        inputs = chunk_inputs() if long_text else feature_inputs()
        rows = fold_chunks(inputs) if long_text else inputs
        encoded = backbone(rows, output_positions=cls_position(rows))
        x = hidden(drop(encoded[SEQUENCE_OUTPUT][:, 0])) if hidden else encoded[POOLED_OUTPUT]
        if pool:
            x = pool(x, inputs[PADDING_MASK])
        super().__init__(
            backbone,
            inputs,
            classifier(drop(x)),
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            name=name,
        )

        # === Config ===
        self.classes = names
        self.problem_type = problem_type
        self.pair = bool(pair)  # models that were stored without having seen a text have None
        self.dropout_rate = dropout  # None stays None: as the backbone's, wherever it is loaded
        self.long_text = long_text
        self.max_chunks = max_chunks
        self.chunk_overlap = chunk_overlap
        self.problem = PROBLEM_TYPES[problem_type](names, threshold)
        if long_text:
            self._check_chunks()

    def _check_chunks(self) -> None:
        if self.pair:
            raise InputError("long_text is for single texts; a pair is cut to sequence_length")
        check_chunks(self.sequence_length, self.max_chunks, self.chunk_overlap)

    @property
    def threshold(self) -> float:
        """The score from which on one of several labels is predicted; it may be set."""
        return self.problem.threshold

    @threshold.setter
    def threshold(self, threshold: float):
        _check_threshold(threshold)
        self.problem.threshold = threshold

    @property
    def outputs_are(self) -> str:
        """By `problem_type`."""
        return self.problem.outputs_are

    @classmethod
    def needs_pooler(cls, config: BackboneConfig) -> bool:
        """Unless the family's classifiers have a layer of their own."""
        return config.classifier_activation is None

    @classmethod
    @renamed.argument("directory", "preset")
    def from_preset(cls, preset, *, problem_type: str | None = None, **rest):
        """As in `Task`; of a head for another `problem_type` nothing is kept, `classes` neither."""
        preset = checkpoints.load(preset)
        stored = cls.stored_head(preset).get("problem_type", problem_type)
        if problem_type is not None:
            rest["problem_type"] = problem_type
            if problem_type != stored:
                rest = {"classes": None, "threshold": 0.5, **rest}
        return super().from_preset(preset, **rest)

    @classmethod
    def stored_head(cls, preset: checkpoints.Preset) -> dict:
        """As in `Task`, with the problem type."""
        stored = super().stored_head(preset)
        # Other formats don't say it, and know one kind only.
        return stored and {"problem_type": "single_label_classification", **stored}

    def head_config(self) -> dict:
        """What the classes mean, pair or not, dropout, how long texts are read."""
        return {
            "classes": list(self.classes),
            "problem_type": self.problem_type,
            "pair": self.pair,
            "dropout": self.dropout_rate,
            "threshold": self.threshold,
            "long_text": self.long_text,
            "max_chunks": self.max_chunks,
            "chunk_overlap": self.chunk_overlap,
        }

    # === Training ===

    def compile(
        self, optimizer=None, loss=None, metrics=None, *, label_smoothing: float = 0.0, **kwargs
    ):
        """Keras's `compile`; unless given, AdamW and what suits `problem_type`.

        One class: cross-entropy on logits and accuracy. Several: binary cross-entropy on logits,
        and the share of right yeses and noes as accuracy. Numbers: mean squared error, and the
        mean absolute error as `mae`.

        XLA is off unless asked for: batches vary in length, and every new length would compile.

        Args:
            optimizer: Keras's.
            loss: Keras's.
            metrics: Keras's.
            label_smoothing: the share of a label that is spread over all classes (of several
                labels, over yes and no); only without `loss`.
            **kwargs: Keras's.

        Raises:
            InputError: `label_smoothing` with a loss, for a regression, or not between 0 and 1.
        """
        if not 0 <= label_smoothing < 1:
            raise InputError(
                f"label_smoothing must be 0 or more and less than 1, found {label_smoothing}"
            )
        if label_smoothing and loss is not None:
            raise InputError("label_smoothing is for the task's own loss; leave loss out")
        super().compile(
            optimizer=optimizer or adamw(5e-5),
            loss=loss or self.problem.loss(label_smoothing),
            metrics=metrics or self.problem.metrics(),
            **kwargs,
        )

    def accuracy_metric(self, name: str):
        """By `problem_type`."""
        return self.problem.accuracy(name)

    def fit(self, *args, class_weight=None, **kwargs):
        """Keras's `fit`.

        Args:
            *args: Keras's.
            class_weight: weights by class name or index, of which those left out are 1; or a list
                with one for each class.
            **kwargs: Keras's.
        """
        if class_weight is not None:
            class_weight = self.problem.class_weights(class_weight)
        return super().fit(*args, class_weight=class_weight, **kwargs)

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict: bool = False
    ):
        """Keras's `train_on_batch`; `class_weight` as in `fit`."""
        if class_weight is not None:
            class_weight = self.problem.class_weights(class_weight)
        return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def class_weights(self, y, class_weight) -> np.ndarray:
        """Every example's weight by its class, as `sample_weight` of `training_batches`.

        Args:
            y: class names or indices, (examples,).
            class_weight: as in `fit`.

        Returns:
            float32, (examples,).

        Raises:
            InputError: a class that is none, or examples that have not one class each.
        """
        weights = self.problem.class_weights(class_weight)
        labels = self.problem.labels(y)
        labels = labels.argmax(-1) if labels.ndim == 2 else labels
        return np.array(list(weights.values()), "float32")[labels]

    # === Text ===

    def make_preprocessor(self):
        """With labels in the form that the loss takes."""
        from kerasbert.tasks.text_classifier.preprocessor import TextClassifierPreprocessor

        return TextClassifierPreprocessor(
            **self._text_settings(),
            problem=self.problem,
            pair=self.pair,
            takes_shares=not _wants_indices(_compat.given_loss(self)),
            long_text=self.long_text,
            max_chunks=self.max_chunks,
            chunk_overlap=self.chunk_overlap,
        )

    def classify(self, x, *, batch_size: int = 32) -> list[dict[str, Any]]:
        """Answers in words.

        Args:
            x: text in any form but a dataset.
            batch_size: texts at a time.

        Returns:
            A dict for each text. One class: `label`, and `scores` by class name. Several:
            `predicted`, the names with a score of `threshold` or more, and `scores`. Numbers:
            `value` or, of several, `values` by name.
        """
        logits = self._outputs_of(self._text.columns(x), batch_size)
        scores = keras.ops.convert_to_numpy(self.problem.scores(logits))
        return [self.problem.answer(row) for row in scores]

    def score(self, x, y, *, batch_size: int = 32) -> dict[str, float]:
        """The task's official metrics, over all examples at once.

        Args:
            x: text in any form but a dataset.
            y: labels as `fit` takes them.
            batch_size: texts at a time.

        Returns:
            By `problem_type` what `kerasbert.metrics.classification` gives.
        """
        rows = self._text.rows(x, y)
        if not len(rows):
            raise InputError(f"{self.name}: there are no examples")
        return self.problem.score(rows.y, self._outputs_of(rows.x, batch_size))


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold < 1:
        raise InputError(f"threshold must be between 0 and 1, found {threshold}")


def _wants_indices(loss) -> bool:
    loss = getattr(loss, "loss", loss)  # of a `GlobalBatchLoss`
    return isinstance(loss, keras.losses.SparseCategoricalCrossentropy | SmoothedCrossentropy)
