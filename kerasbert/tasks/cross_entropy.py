"""Loss and accuracy of logits over many classes, such as a vocabulary.

Keras computes the same, one operation after the other over (places, vocabulary); on a CPU that is
half of a small model's step.
"""

from collections.abc import Callable

import keras
from keras import ops

from kerasbert.layers.fused_ops import FusedOp


def _plain(logits, labels):
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def _from_logits(logits, labels):
    # Keras's, compiled, goes through the logits once more to find those of the labels.
    highest = ops.max(logits, axis=-1, keepdims=True)
    total = ops.log(ops.sum(ops.exp(logits - highest), axis=-1)) + highest[..., 0]
    is_class = ops.logical_and(labels >= 0, labels < logits.shape[-1])
    return ops.where(is_class, total - _at_labels(logits, labels)[..., 0], float("nan"))


def _at_labels(logits, labels):
    return ops.take_along_axis(logits, ops.expand_dims(labels, -1), axis=-1)


def _gradient(upstream, loss, logits, labels):
    # The logarithm of the softmax's denominator is known from the loss: one pass, not three.
    probabilities = ops.exp(logits - _at_labels(logits, labels) - ops.expand_dims(loss, -1))
    wrong = probabilities - ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return ops.expand_dims(upstream, -1) * wrong


def _labels(y_true, y_pred):
    """One for each row of logits, int32; a last axis of one, as Keras takes it, goes."""
    y_true = ops.cast(y_true, "int32")
    return ops.squeeze(y_true, -1) if len(y_true.shape) == len(y_pred.shape) else y_true


_cross_entropy = FusedOp(_from_logits, _gradient, plain=_plain)


@keras.saving.register_keras_serializable("kerasbert")
class CrossEntropy(keras.losses.Loss):
    """Keras's sparse cross-entropy of logits, compiled into one pass where that pays (`FusedOp`).

    Labels: int, (...) or (..., 1). Logits: float, (..., classes). A label that is no class makes
    the loss NaN where it is compiled; elsewhere TensorFlow raises.
    """

    def call(self, y_true, y_pred):
        """The loss of every place."""
        return _cross_entropy(y_pred, _labels(y_true, y_pred))


@keras.saving.register_keras_serializable("kerasbert")
def is_right(y_true, y_pred):
    """1.0 where the label has the highest logit, else 0.0; of several equal ones the first counts.

    Keras's `argmax` first replaces negative zeros, which takes four times as long as `tf.argmax`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Of int32, a GPU's `equal` is computed on the host.
        guesses = tf.argmax(y_pred, axis=-1, output_type="int64")
    else:
        guesses = ops.argmax(y_pred, axis=-1)
    labels = ops.cast(_labels(y_true, y_pred), guesses.dtype)
    return ops.cast(ops.equal(labels, guesses), keras.config.floatx())


def cross_entropy(name: str) -> keras.losses.Loss:
    """Cross-entropy on logits, the mean over what has weight."""
    return CrossEntropy(reduction="mean_with_sample_weight", name=name)


@keras.saving.register_keras_serializable("kerasbert", name="PlaceMean")
class PositionMean(keras.metrics.Mean):
    """The mean of a function of labels and outputs over all places, each with its own weight.

    Keras's own is a mean over every row first, so that a place weighs less in a batch of long rows.

    Args:
        function: labels and outputs -> values (batch, places); registered with Keras.
        name: the metric's name.
    """

    def __init__(self, function: Callable, name: str | None = None):
        super().__init__(name=name or function.__name__)
        self.function = function

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Looks at a batch; weights (batch, places), (batch,) or None."""
        values = self.function(y_true, y_pred)
        weights = flat_weights(sample_weight, ops.shape(values))
        super().update_state(ops.reshape(values, (-1,)), weights)

    def get_config(self):
        """The function, and the name."""
        function = keras.saving.serialize_keras_object(self.function)
        return {"function": function, "name": self.name}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        function = keras.saving.deserialize_keras_object(config["function"])
        return cls(function, config["name"])


def flat_weights(sample_weight, shape):
    """The weight of every value, (values,), or None.

    Args:
        sample_weight: of the rows, (batch,), or of every value; or None.
        shape: of the values, (batch, ...).
    """
    if sample_weight is None:
        return None
    weights = ops.cast(sample_weight, "float32")
    while len(weights.shape) < len(shape):
        weights = ops.expand_dims(weights, -1)
    return ops.reshape(ops.broadcast_to(weights, shape), (-1,))


def accuracy(name: str = "accuracy") -> keras.metrics.Metric:
    """The share of right guesses among the places, by their weights."""
    return PositionMean(is_right, name=name)
