"""Text classification: one class, several labels, or numbers for a text or a pair of texts."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np

from kerasbert import _compat, checkpoints, renamed
from kerasbert.backbone import Backbone, BackboneConfig, cls_position, feature_inputs
from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK, POOLED_OUTPUT, SEQUENCE_OUTPUT, is_text
from kerasbert.layers import Dropout, PoolChunks
from kerasbert.tasks.chunks import check_chunks, chunk_inputs, fold_chunks
from kerasbert.tasks.heads import hidden_layer, output_layer
from kerasbert.tasks.labels import class_names
from kerasbert.tasks.results import Results
from kerasbert.tasks.task import Task
from kerasbert.tasks.text_classifier.problem_types import (
    PROBLEM_TYPES,
    LabelAccuracy,
    SmoothedCrossentropy,
    weights_of_rows,
)
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.training.optimizers import adamw


@keras.saving.register_keras_serializable("kerasbert")
class TextClassifier(Task):
    """Classifies a text or a pair of texts from its first token, `[CLS]` (BERT, §4.1).

    The head is dropout and a linear layer. They follow BERT's pooler or, in families without one, a
    hidden layer (see `classifier_activation` in `BackboneConfig`).

    Call: features -> logits, float32 (batch, classes).

    Labels of texts in `fit`, `evaluate` and `score`, by `problem_type`:

    - "single_label_classification": class names or indices. If the class names are whole numbers,
      numbers are taken as names.
    - "multi_label_classification": for each example a list of names, which may be empty, or 0 and 1
      for every class.
    - "regression": one number, or as many as there are `classes`.

    Labels of ready features are what the loss takes: indices; 0 and 1; or floats (batch, numbers).

    With `long_text`, a text that exceeds `sequence_length` is split into chunks. The encoder reads
    each chunk, and their vectors are pooled before the linear layer. Features then are (batch,
    chunks, sequence). Texts of one chunk give the same logits as without `long_text`. `max_chunks`
    bounds time and memory; the rest of the text is ignored.

    Examples:
        A model with random weights learns two texts. `from_preset` starts from a pretrained encoder
        instead: `TextClassifier.from_preset("hf://google-bert/bert-base-uncased",
        classes=["bad", "good"])`.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> model = kerasbert.TextClassifier(
        ...     kerasbert.Backbone(config), ["bad", "good"], tokenizer=tokenizer
        ... )
        >>> model.compile(kerasbert.training.adamw(1e-3))
        >>> texts, labels = ["a fine day", "a dull day"], ["good", "bad"]
        >>> history = model.fit(texts * 100, labels * 100, batch_size=8, verbose=0)
        >>> model.classify(["a fine day"])[0]["label"]
        'good'
        >>> model.predict(texts, verbose=0).shape
        (2, 2)

    Args:
        backbone: the encoder.
        classes: class names in the order of the logits, the number of classes, or a dict from
            indices to names. For a regression, names of the numbers; None: one number, "value".
        problem_type: see above.
        tokenizer: as in `Task`.
        sequence_length: as in `Task`; with `long_text`, tokens per chunk.
        pair: whether an example is two texts.
        dropout: dropout rate before the linear layer; None: the backbone's.
        threshold: lowest score at which a multi-label class is predicted.
        long_text: pooling of chunks, "mean", "max" or "attention" (see
            `kerasbert.layers.PoolChunks`); None: texts are truncated to `sequence_length`.
        max_chunks: chunks per text.
        chunk_overlap: tokens that two neighboring chunks share.
        name: model name.

    Raises:
        InputError: an argument is out of range, or the head needs a pooler, which the backbone
            does not have.
    """

    head_arguments = ("classes", "problem_type")
    needs_labels = True
    pipeline_tag = "text-classification"

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str] | int | None = None,
        *,
        problem_type: str = "single_label_classification",
        tokenizer: Tokenizer | None = None,
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
        activation = config.classifier_activation
        hidden = activation and hidden_layer(backbone, activation, "classifier_hidden")
        pool = long_text and PoolChunks(
            long_text, config.initializer_range, dtype="float32", name="pool_chunks"
        )
        classifier = output_layer(backbone, len(names), "classifier")

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
        self.pair = bool(pair)  # None in models of early releases that had not seen a text
        self.dropout_rate = dropout  # None stays None: the rate of any backbone it is loaded with
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
        """Lowest score at which a multi-label class is predicted, in (0, 1); can be set.

        Examples:
            >>> model.threshold
            0.5
        """
        return self.problem.threshold

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        _check_threshold(threshold)
        self.problem.threshold = threshold
        for kind in ("metrics", "weighted_metrics"):
            for metric in keras.tree.flatten(_compat.given_metrics(self, kind)):
                if isinstance(metric, LabelAccuracy):
                    metric.threshold = threshold
        self.train_function = self.test_function = None  # traced with the threshold before

    @property
    def outputs_are(self) -> str:
        """See `Task.outputs_are`; depends on `problem_type`."""
        return self.problem.outputs_are

    @classmethod
    def needs_pooler(cls, config: BackboneConfig) -> bool:
        """Whether the head uses the pooler: it does unless it has a hidden layer of its own."""
        return config.classifier_activation is None

    @classmethod
    @renamed.argument("directory", "preset")
    def from_preset(cls, preset: Any, *, problem_type: str | None = None, **rest: Any) -> Self:
        """Loads as `Task.from_preset` does; with another `problem_type`, the head is new.

        Args:
            preset: as in `Task.from_preset`.
            problem_type: as in the constructor; None: as stored.
            **rest: other arguments of `Task.from_preset`, such as `classes`.

        Returns:
            The classifier with its weights.

        Raises:
            InputError: there is no such model, or it lacks what the head needs.

        Examples:
            A classifier is loaded with its head. With other classes, only the encoder's weights
            are loaded, and the head's are random.

            >>> names = model.save_to_preset("opinions")
            >>> kerasbert.TextClassifier.from_preset("opinions").classes
            ['bad', 'good']
            >>> grades = kerasbert.TextClassifier.from_preset("opinions", classes=["C", "B", "A"])
            >>> grades.uninitialized_weights
            ['classifier/kernel', 'classifier/bias']
        """
        preset = checkpoints.load(preset)
        stored = cls.stored_head(preset).get("problem_type", problem_type)
        if problem_type is not None:
            rest["problem_type"] = problem_type
            if problem_type != stored:
                rest = {"classes": None, "threshold": 0.5, **rest}
        return super().from_preset(preset, **rest)

    @classmethod
    def stored_head(cls, preset: checkpoints.Preset) -> dict[str, Any]:
        """Returns what `Task.stored_head` does, always with the problem type.

        Args:
            preset: the stored model.
        """
        stored = super().stored_head(preset)
        # Other formats do not store it, and only have this one.
        return stored and {"problem_type": "single_label_classification", **stored}

    def head_config(self) -> dict[str, Any]:
        """Returns classes, problem type, pair, dropout rate and the settings of long texts."""
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

    @property
    def example_call(self) -> str:
        """See `Task.example_call`."""
        text = '("A text.", "Another one.")' if self.pair else '"A text."'
        return f"model.classify([{text}])"

    # === Training ===

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        *,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Compiles the model; by default with AdamW and what suits `problem_type`.

        One class: cross-entropy on logits, and accuracy. Several: binary cross-entropy on logits,
        and the share of correct yes/no decisions as accuracy. Numbers: mean squared error, and mean
        absolute error as `mae`.

        XLA is off by default, because every new batch length would be compiled.

        Args:
            optimizer: as in Keras; None: `kerasbert.training.adamw(5e-5)`.
            loss: as in Keras; None: as above.
            metrics: as in Keras; None: as above.
            label_smoothing: share of each label that is spread over all classes (with several
                labels, over yes and no). Cannot be combined with `loss`.
            **kwargs: as in `Task.compile`.

        Raises:
            InputError: `label_smoothing` is not in [0, 1), is given with a loss, or is given for a
                regression.

        Examples:
            >>> model.compile()
            >>> model.compile(kerasbert.training.adamw(2e-5), label_smoothing=0.1)
            >>> model.compile("adam", metrics=["accuracy", "AUC"], layer_decay=0.9)
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
            metrics=metrics,
            **kwargs,
        )

    def _default_metrics(self) -> Any:
        return self.problem.metrics()

    def accuracy_metric(self, name: str) -> Any:
        """Returns the metric that "accuracy" means for the `problem_type`.

        Args:
            name: name of the metric.
        """
        return self.problem.accuracy(name)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *args: Any,
        class_weight: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the model as in Keras.

        Args:
            x: text or features.
            y: labels.
            *args: as in Keras.
            class_weight: dict from class name or index to weight, with 1 for the other classes; or
                a list with one weight per class.
            sample_weight: weights of examples, by which those of their classes are multiplied.
            **kwargs: as in Keras.

        Returns:
            Keras's `History`: losses and metrics of every epoch.

        Raises:
            InputError: texts and labels differ in length, a label is no class, or a class of
                `class_weight` is unknown.

        Examples:
            >>> history = model.fit(
            ...     texts, labels, class_weight={"bad": 2.0}, epochs=2, verbose=0
            ... )
            >>> len(history.history["loss"])
            2
        """
        weights = self._with_class_weight(x, y, sample_weight, class_weight)
        return super().fit(x, y, *args, **weights, **kwargs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Trains on one batch as in Keras; `class_weight` as in `fit`."""
        weights = self._with_class_weight(x, y, sample_weight, class_weight)
        return super().train_on_batch(x, y, **weights, return_dict=return_dict)

    def _with_class_weight(self, x, y, sample_weight, class_weight) -> dict:
        """Returns weights as `Task` takes them; features have both kinds in `sample_weight`."""
        if class_weight is not None:
            class_weight = self.problem.class_weights(class_weight)
            if sample_weight is not None and y is not None and not is_text(x):
                sample_weight = weights_of_rows(y, class_weight, sample_weight)
                class_weight = None
        return {"class_weight": class_weight, "sample_weight": sample_weight}

    def class_weights(self, y: Any, class_weight: Any) -> np.ndarray:
        """Returns the weight of each example's class, as `sample_weight` of `training_batches`.

        Args:
            y: class names or indices, (examples,).
            class_weight: as in `fit`.

        Returns:
            float32, (examples,).

        Raises:
            InputError: a class is unknown, or the examples do not have one class each.

        Examples:
            >>> model.class_weights(["good", "bad", "good"], {"bad": 3.0}).tolist()
            [1.0, 3.0, 1.0]
        """
        return weights_of_rows(self.problem.labels(y), self.problem.class_weights(class_weight))

    # === Text ===

    def make_preprocessor(self) -> Any:
        """Creates the preprocessor, whose labels suit the compiled loss."""
        from kerasbert.tasks.text_classifier.preprocessor import TextClassifierPreprocessor

        return TextClassifierPreprocessor(
            **self._text_settings(),
            problem=self.problem,
            pair=self.pair,
            label_form=_label_form(_compat.given_loss(self)),
            long_text=self.long_text,
            max_chunks=self.max_chunks,
            chunk_overlap=self.chunk_overlap,
        )

    def classify(self, x: Any, *, batch_size: int = 32) -> Results[dict[str, Any]]:
        """Classifies texts, and returns class names and scores.

        Args:
            x: text in any form but a dataset.
            batch_size: texts per batch.

        Returns:
            A dict for each text. One class: `label`, and `scores` by class name. Several:
            `predicted`, the names with a score of at least `threshold`, and `scores`. Numbers:
            `value`, or `values` by name if there are several.

        Examples:
            >>> answer = model.classify(["a fine day"])[0]
            >>> answer["label"], answer["scores"]["good"] > 0.5
            ('good', True)

            Several labels for a text, and a number:

            >>> topics = kerasbert.TextClassifier(
            ...     kerasbert.Backbone(config),
            ...     ["sports", "weather"],
            ...     problem_type="multi_label_classification",
            ...     tokenizer=tokenizer,
            ... )
            >>> list(topics.classify(["a fine day"])[0])
            ['predicted', 'scores']
            >>> rating = kerasbert.TextClassifier(
            ...     kerasbert.Backbone(config), problem_type="regression", tokenizer=tokenizer
            ... )
            >>> list(rating.classify(["a fine day"])[0])
            ['value']
        """
        logits = self._outputs_of(self._text.columns(x), batch_size)
        scores = keras.ops.convert_to_numpy(self.problem.scores(logits))
        return Results(self.problem.answer(row) for row in scores)

    def score(self, x: Any, y: Any, *, batch_size: int = 32) -> dict[str, float]:
        """Returns the task's official metrics over all examples.

        Args:
            x: text in any form but a dataset.
            y: labels as `fit` takes them.
            batch_size: texts per batch.

        Returns:
            The metrics of `kerasbert.metrics.classification` for the `problem_type`.

        Raises:
            InputError: there are no examples, or a label is no class.

        Examples:
            >>> model.score(texts, labels)
            {'accuracy': 1.0, 'macro_f1': 1.0, 'matthews': 1.0, 'f1': 1.0}
        """
        self._check_labels(x, y)
        rows = self._text.rows(x, y)
        if not len(rows):
            raise InputError(f"{self.name}: there are no examples")
        return self.problem.score(rows.y, self._outputs_of(rows.x, batch_size))


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold < 1:
        raise InputError(f"threshold must be between 0 and 1, found {threshold}")


def _label_form(loss) -> str | None:
    """Returns whether a loss takes "indices" or "shares" of classes; None if that is unknown."""
    loss = getattr(loss, "loss", loss)  # unwraps `GlobalBatchLoss`
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy | SmoothedCrossentropy):
        return "indices"
    of_shares = keras.losses.CategoricalCrossentropy | keras.losses.CategoricalFocalCrossentropy
    return "shares" if isinstance(loss, of_shares) else None
