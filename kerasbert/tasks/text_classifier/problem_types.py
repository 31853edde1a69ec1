"""What a classifier's outputs mean: one class, any number of classes, or numbers.

The names are transformers' (`problem_type` in its configs).
"""

import abc
from collections.abc import Iterable, Sequence

import keras
import numpy as np
from keras import ops

from kerasbert.data.inputs import numbers, plain, shown_classes
from kerasbert.errors import InputError
from kerasbert.metrics import classification
from kerasbert.tasks.labels import class_indices, class_weight_table, unknown_label


class ProblemType(abc.ABC):
    """How labels become targets, and logits answers.

    Args:
        classes: the names of the outputs.
        threshold: the score from which on a class is predicted, where several may be.
    """

    #: See `Task.outputs_are`.
    outputs_are: str

    def __init__(self, classes: Sequence[str], threshold: float):
        self.classes = list(classes)
        self.threshold = threshold

    @abc.abstractmethod
    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """The loss of targets and logits."""

    @abc.abstractmethod
    def metrics(self) -> list[keras.metrics.Metric]:
        """What training reports."""

    def accuracy(self, name: str) -> keras.metrics.Metric | str | None:
        """What Keras's "accuracy" means; None: nothing."""
        return None

    @abc.abstractmethod
    def labels(self, y) -> np.ndarray:
        """Labels as the loss takes them.

        Args:
            y: labels in any form that the task takes.

        Raises:
            InputError: one that can't be.
        """

    @abc.abstractmethod
    def scores(self, logits):
        """Probabilities, or the numbers themselves, float32 (batch, classes)."""

    @abc.abstractmethod
    def answer(self, scores: np.ndarray) -> dict:
        """One example's scores (classes,), for people."""

    @abc.abstractmethod
    def score(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """The official metrics."""

    def class_weights(self, class_weight) -> dict[int, float]:
        """Weights of all indices; see `kerasbert.tasks.labels.class_weight_table`.

        Raises:
            InputError: a class that is none, or examples that have not one class each.
        """
        raise InputError("class_weight is for examples that have one class each")

    def _named(self, scores: np.ndarray) -> dict[str, float]:
        return dict(zip(self.classes, map(float, scores), strict=True))


class SingleLabel(ProblemType):
    """One of the classes: a softmax."""

    outputs_are = "classes"

    def loss(self, label_smoothing):
        if label_smoothing:
            return SmoothedCrossentropy(label_smoothing)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(self):
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def accuracy(self, name):
        return name  # Keras chooses by the labels, indices or one-hot

    def labels(self, y):
        y = plain(y)
        if isinstance(y, list) and y and isinstance(y[0], list):
            y = [own[0] for own in y] if all(len(own) == 1 for own in y) else numbers("y", y)
        if not isinstance(y, np.ndarray) or y.ndim < 2 or y.shape[1:] == (1,):
            return class_indices("y", y, self.classes)
        if y.shape[1:] != (len(self.classes),):
            raise InputError(
                f"y must have one class, or a share of each of the {len(self.classes)} classes, "
                f"for every example; found the shape {y.shape}"
            )
        return numbers("y", y)

    def scores(self, logits):
        return ops.softmax(logits)

    def answer(self, scores):
        return {"label": self.classes[int(scores.argmax())], "scores": self._named(scores)}

    def score(self, targets, logits):
        targets = targets.argmax(-1) if targets.ndim == 2 else targets
        return classification.single_label(targets, logits.argmax(-1), len(self.classes))

    def class_weights(self, class_weight):
        return dict(enumerate(map(float, class_weight_table(class_weight, self.classes))))


class MultiLabel(ProblemType):
    """Any number of the classes: a sigmoid each."""

    outputs_are = "labels"

    def loss(self, label_smoothing):
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self):
        return [self.accuracy("accuracy")]

    def accuracy(self, name):
        return keras.metrics.MeanMetricWrapper(label_accuracy, name=name, threshold=self.threshold)

    def labels(self, y):
        y = plain(y)
        count = len(self.classes)
        if isinstance(y, np.ndarray) or not any(_names(own) for own in y):
            return self._zeros_and_ones(y)
        known = {name: position for position, name in enumerate(self.classes)}
        converted = np.zeros((len(y), count), "float32")
        for position, own in enumerate(y):
            if isinstance(own, str | bytes) or not isinstance(own, Iterable):
                raise InputError(
                    f"y[{position}] must be a list of class names, found {own!r}; there are "
                    f"{shown_classes(self.classes)}"
                )
            for label in own:
                name = label.decode("utf-8", "replace") if isinstance(label, bytes) else label
                if not isinstance(name, str) or name not in known:
                    raise InputError(
                        unknown_label(f"a label of y[{position}]", label, self.classes)
                    )
                converted[position, known[name]] = 1
        return converted

    def _zeros_and_ones(self, y):
        """Numbers for each class; an example without any, as of no names, has zeros."""
        count = len(self.classes)
        if isinstance(y, list):
            y = [list(plain(own)) or [0] * count for own in y]
        converted = numbers("y", y)
        if converted.shape[1:] != (count,) or ((converted < 0) | (converted > 1)).any():
            raise InputError(
                f"y must be lists of names, or 0 and 1 for each of the {count} classes "
                f"{shown_classes(self.classes)}, for every example; found the shape "
                f"{converted.shape} and values from {converted.min(initial=0):g} to "
                f"{converted.max(initial=0):g}"
            )
        return converted

    def scores(self, logits):
        return ops.sigmoid(logits)

    def answer(self, scores):
        named = self._named(scores)
        predicted = [name for name, score in named.items() if score >= self.threshold]
        return {"predicted": predicted, "scores": named}

    def score(self, targets, logits):
        scores = ops.convert_to_numpy(self.scores(logits))
        return classification.multi_label(targets, scores >= self.threshold)


class Regression(ProblemType):
    """Numbers: the outputs as they are."""

    outputs_are = "numbers"

    def loss(self, label_smoothing):
        if label_smoothing:
            raise InputError("label_smoothing is for classes; a regression has none")
        return keras.losses.MeanSquaredError()

    def metrics(self):
        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def labels(self, y):
        converted = numbers("y", y)
        count = len(self.classes)
        if converted.size != len(converted) * count:
            raise InputError(
                f"y must have {count} numbers for every example ({shown_classes(self.classes)}), "
                f"found the shape {converted.shape}"
            )
        return converted.reshape(-1, count)

    def scores(self, logits):
        return logits

    def answer(self, scores):
        return {"value": float(scores[0])} if len(scores) == 1 else {"values": self._named(scores)}

    def score(self, targets, logits):
        return classification.regression(targets, logits)


#: By name.
PROBLEM_TYPES = {
    "single_label_classification": SingleLabel,
    "multi_label_classification": MultiLabel,
    "regression": Regression,
}


@keras.saving.register_keras_serializable("kerasbert")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of class indices and logits, a share of the label spread over all classes.

    (Szegedy et al. 2016, Rethinking the Inception Architecture, §7; Keras has it for one-hot
    labels only.)

    Args:
        label_smoothing: the share.
    """

    def __init__(self, label_smoothing: float, name="smoothed_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """The losses, (batch,)."""
        classes = y_pred.shape[-1]
        one_hot = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), classes)
        return keras.losses.categorical_crossentropy(
            one_hot, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )

    def get_config(self):
        """The share, and Keras's own."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("kerasbert")
def label_accuracy(y_true, y_pred, threshold: float = 0.5):
    """The share of classes that each example has or has not, as it should, (batch,)."""
    predicted = ops.sigmoid(y_pred) >= threshold
    right = ops.equal(ops.cast(y_true, "bool"), predicted)
    return ops.mean(ops.cast(right, "float32"), axis=-1)


def _names(labels) -> bool:
    """Whether the labels of one example are names."""
    if isinstance(labels, str | bytes) or labels is None:
        return True
    return isinstance(labels, Iterable) and any(isinstance(x, str | bytes) for x in labels)
