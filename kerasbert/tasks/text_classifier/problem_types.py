"""The problem types of text classification: one class, several labels, or numbers.

Their names are the values of `problem_type` in transformers' configs.
"""

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasbert.data.inputs import as_string, numbers, plain, shown_classes
from kerasbert.errors import InputError
from kerasbert.metrics import classification
from kerasbert.tasks.labels import (
    class_indices,
    class_weight_table,
    unknown_label,
    weights_by_class,
)


class ProblemType(abc.ABC):
    """Converts labels to targets, and logits to answers.

    Args:
        classes: names of the outputs.
        threshold: lowest score at which a multi-label class is predicted.
    """

    #: See `Task.outputs_are`.
    outputs_are: str

    def __init__(self, classes: Sequence[str], threshold: float):
        self.classes = list(classes)
        self.threshold = threshold

    @abc.abstractmethod
    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Returns the loss on logits."""

    def metrics(self) -> list[Any]:
        """Returns the default metrics, as `compile` takes them."""
        return [self.accuracy("accuracy")]

    def accuracy(self, name: str) -> keras.metrics.Metric | str | None:
        """Returns the metric that Keras's "accuracy" means; None if there is none."""
        return None

    @abc.abstractmethod
    def labels(self, y: Any) -> np.ndarray:
        """Converts labels to the loss's targets.

        Args:
            y: labels in any form that the task takes.

        Raises:
            InputError: a label is invalid.
        """

    @abc.abstractmethod
    def scores(self, logits: Any) -> Any:
        """Converts logits to probabilities, or to the numbers, float32 (batch, classes)."""

    @abc.abstractmethod
    def answer(self, scores: np.ndarray) -> dict[str, Any]:
        """Converts one example's scores (classes,) to a readable answer."""

    @abc.abstractmethod
    def score(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """Returns the official metrics."""

    def class_weights(self, class_weight: Any) -> dict[int, float]:
        """Returns the weights by class index; see `kerasbert.tasks.labels.class_weight_table`.

        Raises:
            InputError: a class is unknown, or the examples do not have one class each.
        """
        raise InputError("class_weight is for examples that have one class each")

    def _named(self, scores: np.ndarray) -> dict[str, float]:
        return dict(zip(self.classes, map(float, scores), strict=True))


class SingleLabel(ProblemType):
    """One class per example, scored by a softmax."""

    outputs_are = "classes"

    def loss(self, label_smoothing: float) -> Any:
        if label_smoothing:
            return SmoothedCrossentropy(label_smoothing)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def accuracy(self, name: Any) -> Any:
        return name  # Keras chooses the metric by the form of the labels

    def labels(self, y: Any) -> Any:
        y = plain(y)
        if isinstance(y, list) and y and all(isinstance(own, list) for own in y):
            y = [own[0] for own in y] if all(len(own) == 1 for own in y) else numbers("y", y)
        if not isinstance(y, np.ndarray) or y.ndim < 2 or y.shape[1:] == (1,):
            return class_indices("y", y, self.classes)
        if y.shape[1:] != (len(self.classes),):
            raise InputError(
                f"y must have one class, or a share of each of the {len(self.classes)} classes, "
                f"for every example; found the shape {y.shape}"
            )
        return numbers("y", y)

    def scores(self, logits: Any) -> Any:
        return ops.softmax(logits)

    def answer(self, scores: Any) -> Any:
        return {"label": self.classes[int(scores.argmax())], "scores": self._named(scores)}

    def score(self, targets: Any, logits: Any) -> Any:
        targets = targets.argmax(-1) if targets.ndim == 2 else targets
        return classification.single_label(targets, logits.argmax(-1), len(self.classes))

    def class_weights(self, class_weight: Any) -> Any:
        return dict(enumerate(map(float, class_weight_table(class_weight, self.classes))))


class MultiLabel(ProblemType):
    """Any number of classes per example, each scored by a sigmoid."""

    outputs_are = "labels"

    def loss(self, label_smoothing: float) -> Any:
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def accuracy(self, name: Any) -> Any:
        return LabelAccuracy(self.threshold, name=name)

    def labels(self, y: Any) -> Any:
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
                name = as_string(label)
                if not isinstance(name, str) or name not in known:
                    raise InputError(
                        unknown_label(f"a label of y[{position}]", label, self.classes)
                    )
                converted[position, known[name]] = 1
        return converted

    def _zeros_and_ones(self, y):
        """Returns numbers for each class; an empty list of names becomes zeros."""
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

    def scores(self, logits: Any) -> Any:
        return ops.sigmoid(logits)

    def answer(self, scores: Any) -> Any:
        named = self._named(scores)
        predicted = [name for name, score in named.items() if score >= self.threshold]
        return {"predicted": predicted, "scores": named}

    def score(self, targets: Any, logits: Any) -> Any:
        scores = ops.convert_to_numpy(self.scores(logits))
        return classification.multi_label(targets, scores >= self.threshold)


class Regression(ProblemType):
    """One or several numbers per example: the outputs themselves."""

    outputs_are = "numbers"

    def loss(self, label_smoothing: float) -> Any:
        if label_smoothing:
            raise InputError("label_smoothing is for classes; a regression has none")
        return keras.losses.MeanSquaredError()

    def metrics(self) -> Any:
        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def labels(self, y: Any) -> Any:
        converted = numbers("y", y)
        count = len(self.classes)
        if converted.size != len(converted) * count:
            raise InputError(
                f"y must have {count} numbers for every example ({shown_classes(self.classes)}), "
                f"found the shape {converted.shape}"
            )
        return converted.reshape(-1, count)

    def scores(self, logits: Any) -> Any:
        return logits

    def answer(self, scores: Any) -> Any:
        return {"value": float(scores[0])} if len(scores) == 1 else {"values": self._named(scores)}

    def score(self, targets: Any, logits: Any) -> Any:
        return classification.regression(targets, logits)


#: Problem types by name.
PROBLEM_TYPES = {
    "single_label_classification": SingleLabel,
    "multi_label_classification": MultiLabel,
    "regression": Regression,
}


@keras.saving.register_keras_serializable("kerasbert")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy with label smoothing on class indices and logits (Szegedy et al. 2016, §7).

    Keras only supports label smoothing for one-hot labels.

    Args:
        label_smoothing: share of each label that is spread over all classes.
        name: loss name.
        **kwargs: as in `keras.losses.Loss`.
    """

    def __init__(self, label_smoothing: float, name: Any = "smoothed_crossentropy", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the losses, (batch,)."""
        classes = y_pred.shape[-1]
        one_hot = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), classes)
        return keras.losses.categorical_crossentropy(
            one_hot, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the share and Keras's own config."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("kerasbert")
class LabelAccuracy(keras.metrics.Mean):
    """Share of the yes/no decisions on all classes that are right.

    Args:
        threshold: lowest score at which a class is predicted; can be set, before a graph is traced.
        name: metric name.
    """

    def __init__(self, threshold: float = 0.5, name: str = "accuracy"):
        super().__init__(name=name)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of labels and logits, (batch, classes)."""
        super().update_state(label_accuracy(y_true, y_pred, self.threshold), sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Returns the threshold and the name."""
        return {"threshold": self.threshold, "name": self.name}


@keras.saving.register_keras_serializable("kerasbert")
def label_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Returns the share of each example's classes that are predicted correctly, (batch,)."""
    predicted = ops.sigmoid(y_pred) >= threshold
    right = ops.equal(ops.cast(y_true, "float32") >= 0.5, predicted)
    return ops.mean(ops.cast(right, "float32"), axis=-1)


def weights_of_rows(
    labels: Any, class_weight: Mapping[int, float], sample_weight: Any = None
) -> np.ndarray:
    """Returns the weight of each row's class, times its own weight, float32 (rows,).

    Args:
        labels: class indices, (rows,) or (rows, 1), or shares of the classes, (rows, classes).
        class_weight: the result of `ProblemType.class_weights`.
        sample_weight: weights, (rows,), or None.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else labels.argmax(-1)
    table = np.array(list(class_weight.values()), "float32")
    return weights_by_class(labels.astype("int32"), table, sample_weight)


def _names(labels) -> bool:
    """Whether the labels of one example are names."""
    if isinstance(labels, str | bytes) or labels is None:
        return True
    return isinstance(labels, Iterable) and any(isinstance(x, str | bytes) for x in labels)
