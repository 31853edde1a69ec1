"""Loss and accuracy of logits over many classes, such as a vocabulary.

Keras computes the same, one operation after the other over (places, vocabulary); on a CPU that is
half of a small model's step.
"""

import keras
from keras import ops

from kerasbert.layers.islands import Island


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


_cross_entropy = Island(_from_logits, _gradient, plain=_plain)


@keras.saving.register_keras_serializable("kerasbert")
class CrossEntropy(keras.losses.Loss):
    """Keras's sparse cross-entropy of logits, compiled into one pass where that pays (`Island`).

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

        guesses = tf.argmax(y_pred, axis=-1, output_type="int32")
    else:
        guesses = ops.argmax(y_pred, axis=-1)
    return ops.cast(ops.equal(_labels(y_true, y_pred), guesses), keras.config.floatx())


def cross_entropy(name: str) -> keras.losses.Loss:
    """Cross-entropy on logits, the mean over what has weight."""
    return CrossEntropy(reduction="mean_with_sample_weight", name=name)


def accuracy() -> keras.metrics.Metric:
    """The share of right guesses."""
    return keras.metrics.MeanMetricWrapper(is_right, name="accuracy")
