"""Cross-entropy and accuracy of logits over many classes, such as a vocabulary.

Keras computes the same in separate operations over (positions, vocabulary), which on a CPU take
half of a small model's training step.
"""

from collections.abc import Callable
from typing import Any, Self

import keras
from keras import ops

from kerasbert.layers.fused_ops import FusedOp


def _plain(logits, labels):
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def _from_logits(logits, labels):
    # Keras's version, when compiled, reads the logits once more to pick those of the labels.
    highest = ops.max(logits, axis=-1, keepdims=True)
    total = ops.log(ops.sum(ops.exp(logits - highest), axis=-1)) + highest[..., 0]
    is_class = ops.logical_and(labels >= 0, labels < logits.shape[-1])
    return ops.where(is_class, total - _at_labels(logits, labels)[..., 0], float("nan"))


def _at_labels(logits, labels):
    return ops.take_along_axis(logits, ops.expand_dims(labels, -1), axis=-1)


def _gradient(upstream, loss, logits, labels):
    # The loss already contains the log of the softmax denominator: one pass instead of three.
    probabilities = ops.exp(logits - _at_labels(logits, labels) - ops.expand_dims(loss, -1))
    wrong = probabilities - ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return ops.expand_dims(upstream, -1) * wrong


def _labels(y_true, y_pred):
    """Returns one int32 label per row of logits, without the last axis of size one if any."""
    y_true = ops.cast(y_true, "int32")
    return ops.squeeze(y_true, -1) if len(y_true.shape) == len(y_pred.shape) else y_true


def _are_outcomes(y_true, y_pred) -> bool:
    """Whether outputs are `vocabulary_loss.outcomes`, which have two more axes than labels."""
    return ops.ndim(y_pred) == ops.ndim(y_true) + 2


def are_cross_entropy(losses: Any, metrics: Any) -> bool:
    """Whether losses and metrics of a compiled model can be computed from `outcomes`."""
    losses, metrics = (keras.tree.flatten(each) for each in (losses, metrics))
    return all(isinstance(loss.loss, CrossEntropy) for loss in losses) and all(
        metric is None or (isinstance(metric, PositionMean) and metric.function is is_right)
        for metric in metrics
    )


_cross_entropy = FusedOp(_from_logits, _gradient, plain=_plain)


@keras.saving.register_keras_serializable("kerasbert")
class CrossEntropy(keras.losses.Loss):
    """Sparse cross-entropy on logits, as in Keras, compiled to one pass where that is faster.

    Labels are int, (...) or (..., 1); logits are float, (..., classes). A label outside the classes
    makes the compiled loss NaN; where it is not compiled, TensorFlow raises an error. Instead of
    logits, outputs may be `outcomes` (..., 1, 2) for labels (...).
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each position."""
        if _are_outcomes(y_true, y_pred):
            return y_pred[..., 0, 0]
        return _cross_entropy(y_pred, _labels(y_true, y_pred))


@keras.saving.register_keras_serializable("kerasbert")
def is_right(y_true: Any, y_pred: Any) -> Any:
    """Returns 1.0 where the label has the highest logit, else 0.0; the first of equal logits wins.

    Outputs are logits or `outcomes`, as in `CrossEntropy`. Keras's `argmax` first replaces negative
    zeros, which makes it four times slower than `tf.argmax`.
    """
    if _are_outcomes(y_true, y_pred):
        return y_pred[..., 0, 1]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Of int32, a GPU's `equal` is computed on the host.
        guesses = tf.argmax(y_pred, axis=-1, output_type="int64")
    else:
        guesses = ops.argmax(y_pred, axis=-1)
    labels = ops.cast(_labels(y_true, y_pred), guesses.dtype)
    return ops.cast(ops.equal(labels, guesses), keras.config.floatx())


def cross_entropy(name: str) -> keras.losses.Loss:
    """Returns the loss that averages cross-entropy over the weights of the positions."""
    return CrossEntropy(reduction="mean_with_sample_weight", name=name)


@keras.saving.register_keras_serializable("kerasbert", name="PlaceMean")
class PositionMean(keras.metrics.Mean):
    """Averages a function of labels and outputs over all positions, weighted by position.

    Keras's `MeanMetricWrapper` averages each row first, so that a position of a long row counts
    less.

    Args:
        function: maps labels and outputs to values (batch, positions); registered with Keras.
        name: metric name.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        super().__init__(name=name or function.__name__)
        self.function = function

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch; `sample_weight` is (batch, positions), (batch,) or None."""
        values = self.function(y_true, y_pred)
        weights = flat_weights(sample_weight, ops.shape(values))
        super().update_state(ops.reshape(values, (-1,)), weights)

    def get_config(self) -> dict[str, Any]:
        """Returns the function and the name."""
        function = keras.saving.serialize_keras_object(self.function)
        return {"function": function, "name": self.name}

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Creates the metric from the result of `get_config`."""
        function = keras.saving.deserialize_keras_object(config["function"])
        return cls(function, config["name"])


def flat_weights(sample_weight: Any, shape: Any) -> Any:
    """Returns one weight per value, (values,), or None.

    Args:
        sample_weight: weights of the rows, (batch,), or of the values; or None.
        shape: shape of the values, (batch, ...).
    """
    if sample_weight is None:
        return None
    weights = ops.cast(sample_weight, "float32")
    while len(weights.shape) < len(shape):
        weights = ops.expand_dims(weights, -1)
    return ops.reshape(ops.broadcast_to(weights, shape), (-1,))


def accuracy(name: str = "accuracy") -> keras.metrics.Metric:
    """Returns the metric for the weighted share of positions that are predicted correctly."""
    return PositionMean(is_right, name=name)
