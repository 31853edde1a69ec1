"""What a classifier's outputs mean: one class, any number of classes, or numbers.

The names are transformers' (`problem_type` in its configs).
"""

import abc
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from kerasbert.errors import InputError
from kerasbert.metrics import classification


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
    def targets(self, y):
        """Labels as the loss takes them; in the graph.

        Args:
            y: a tensor, perhaps ragged, of labels in any form that the task takes.
        """

    @abc.abstractmethod
    def scores(self, logits):
        """Probabilities, or the numbers themselves, float32 (batch, classes)."""

    @abc.abstractmethod
    def answers(self, logits) -> dict:
        """The outputs of an export; in the graph."""

    @abc.abstractmethod
    def answer(self, scores: np.ndarray) -> dict:
        """One example's scores (classes,), for people."""

    @abc.abstractmethod
    def score(self, targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
        """The official metrics."""

    def class_weights(self, by_class: Mapping[str | int, float]) -> dict[int, float]:
        """Weights by class names or indices as weights of all indices; 1 unless given.

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

    def targets(self, y):
        import tensorflow as tf

        if y.dtype != tf.string:
            return y
        matches = _matches(y, self.classes)
        with tf.control_dependencies([_assert_known(y, matches)]):
            return tf.argmax(matches, axis=-1, output_type=tf.int32)

    def scores(self, logits):
        return ops.softmax(logits)

    def answers(self, logits):
        import tensorflow as tf

        names = tf.constant(self.classes)
        return {
            "scores": self.scores(logits),
            "label": tf.gather(names, tf.argmax(logits, axis=-1)),
            "labels": tf.broadcast_to(names, tf.shape(logits)),
        }

    def answer(self, scores):
        return {"label": self.classes[int(scores.argmax())], "scores": self._named(scores)}

    def score(self, targets, logits):
        return classification.single_label(targets, logits.argmax(-1), len(self.classes))

    def class_weights(self, by_class):
        weights = dict.fromkeys(range(len(self.classes)), 1.0)
        for name, weight in by_class.items():
            index = self.classes.index(name) if name in self.classes else name
            if index not in weights:
                raise InputError(
                    f"class_weight: {name!r} is none of the classes {', '.join(self.classes)}"
                )
            weights[index] = float(weight)
        return weights


class MultiLabel(ProblemType):
    """Any number of the classes: a sigmoid each."""

    outputs_are = "labels"

    def loss(self, label_smoothing):
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self):
        return [self.accuracy("accuracy")]

    def accuracy(self, name):
        return keras.metrics.MeanMetricWrapper(label_accuracy, name=name, threshold=self.threshold)

    def targets(self, y):
        import tensorflow as tf

        if y.dtype != tf.string:
            return tf.cast(self._dense(y), tf.float32)
        y = y if isinstance(y, tf.RaggedTensor) else tf.RaggedTensor.from_tensor(y)
        matches = _matches(y.flat_values, self.classes)
        with tf.control_dependencies([_assert_known(y.flat_values, matches)]):
            named = tf.math.unsorted_segment_sum(
                tf.cast(matches, tf.float32), y.value_rowids(), y.nrows()
            )
        return tf.minimum(named, 1.0)

    def _dense(self, y):
        """Zeros and ones for every class; a row without any, as of no names, is zeros."""
        import tensorflow as tf

        if not isinstance(y, tf.RaggedTensor):
            return y
        count = len(self.classes)
        lengths = y.row_lengths()
        whole = tf.debugging.Assert(
            tf.reduce_all((lengths == count) | (lengths == 0)),
            [f"labels must be names, or 0 and 1 for each of the {count} classes; found", lengths],
        )
        with tf.control_dependencies([whole]):
            return y.to_tensor(shape=[None, count])

    def scores(self, logits):
        return ops.sigmoid(logits)

    def answers(self, logits):
        import tensorflow as tf

        scores = self.scores(logits)
        return {
            "scores": scores,
            "predicted": tf.cast(scores >= self.threshold, tf.int32),
            "labels": tf.broadcast_to(tf.constant(self.classes), tf.shape(logits)),
        }

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

    def targets(self, y):
        import tensorflow as tf

        y = y.to_tensor() if isinstance(y, tf.RaggedTensor) else y
        y = tf.cast(y, tf.float32)
        y = y[:, tf.newaxis] if y.shape.rank == 1 else y
        found, count = tf.shape(y)[-1], len(self.classes)
        message = f"a regression of {count} ({', '.join(self.classes)}) needs as many numbers each:"
        with tf.control_dependencies([tf.debugging.Assert(found == count, [message, found])]):
            return tf.reshape(y, [-1, count])

    def scores(self, logits):
        return logits

    def answers(self, logits):
        import tensorflow as tf

        if len(self.classes) == 1:
            return {"value": logits[:, 0]}
        return {
            "values": logits,
            "labels": tf.broadcast_to(tf.constant(self.classes), tf.shape(logits)),
        }

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


def _matches(names, classes: Sequence[str]):
    """bool, (names, classes)."""
    import tensorflow as tf

    return tf.equal(names[:, tf.newaxis], tf.constant(classes))


def _assert_known(names, matches):
    import tensorflow as tf

    known = tf.reduce_any(matches, axis=1)
    unknown = tf.boolean_mask(names, ~known)
    return tf.debugging.Assert(
        tf.reduce_all(known), ["label that is none of the classes:", unknown]
    )
