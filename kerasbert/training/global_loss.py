"""Losses whose mean is that of the global batch, whatever replicas and pieces it is cut into.

Keras on TensorFlow averages each replica's mean loss, which is wrong where weights or rows are
uneven.
"""

import re

import keras
from keras import ops

from kerasbert.training.steps import backend


@keras.saving.register_keras_serializable("kerasbert", name="GlobalMean")
class GlobalBatchLoss(keras.losses.Loss):
    """A loss whose mean is taken over the batches of all replicas together.

    Its value, times the number of replicas, is that mean on every replica; its gradients add up to
    the mean's gradient. On one device it is the loss itself.

    Args:
        loss: a Keras loss.
    """

    def __init__(self, loss: keras.losses.Loss, **kwargs):
        super().__init__(**{"name": loss.name, "reduction": loss.reduction, **kwargs})
        self.loss = loss
        self._whole = None

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss, see the class."""
        replicas = backend.num_replicas()
        alone = replicas == 1 and self._whole is None
        if alone or not replicas or isinstance(y_pred, keras.KerasTensor):
            return self.loss(y_true, y_pred, sample_weight)
        total, by = self.sums(y_true, y_pred, sample_weight)
        if self._whole is None:
            microbatches = 1
            total_of_all, by = backend.sum_over_replicas([ops.stop_gradient(total), by])
        else:
            by, microbatches = self._whole
            (total_of_all,) = backend.sum_over_replicas([ops.stop_gradient(total)])
        share = ops.divide_no_nan(total, by)
        value = ops.divide_no_nan(total_of_all, by) * microbatches / replicas
        # The value of the one and the gradient of the other: Keras scales values up again.
        return share + ops.stop_gradient(value - share)

    def set_global_batch(self, by, microbatches: int) -> None:
        """Says that the next calls see one of so many pieces of a batch each.

        Their gradients add up to the gradient of the whole batch's loss, and their values have it
        as their mean.

        Args:
            by: what the sum of all losses is to be divided by, see `sums`; None: no longer.
            microbatches: their number.
        """
        self._whole = None if by is None else (by, microbatches)

    def sums(self, y_true, y_pred, sample_weight=None):
        """The sum of a batch's losses, and by what its mean divides it, which adds up likewise."""
        losses = self.loss.call(ops.convert_to_tensor(y_true), y_pred)
        weights = _weights(ops.shape(losses), losses, sample_weight)
        return ops.sum(losses * weights), self._divisor(weights)

    def divisor(self, y_true, y_pred, sample_weight=None):
        """The second of `sums`; no output is computed for it where the losses' shape is known."""
        y_true = ops.convert_to_tensor(y_true)
        losses = backend.result_spec(self.loss.call, y_true, y_pred)
        shape, labels = (_known(tensor.shape) for tensor in (losses, y_true))
        if shape is None or None in shape:
            if shape is None or labels is None or labels[1 : len(shape)] != shape[1:]:
                return self.sums(y_true, y_pred, sample_weight)[1]  # no label for each
            shape = ops.shape(y_true)[: len(shape)]
        return self._divisor(_weights(shape, losses, sample_weight))

    def _divisor(self, weights):
        if self.reduction == "sum":
            return ops.ones((), weights.dtype) / backend.num_replicas()
        if self.reduction == "mean_with_sample_weight":
            return ops.sum(weights)
        return ops.cast(ops.size(weights), weights.dtype)

    def get_config(self):
        """The loss that is wrapped."""
        return {"loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["loss"]))


def _known(shape) -> tuple | None:
    """The axes of a shape, None where they are not known; None: not even their number is."""
    return None if getattr(shape, "rank", 0) is None else tuple(shape)


def _weights(shape, losses, sample_weight):
    """The weight of each loss, of such a shape; of `losses` only rank and dtype matter."""
    if sample_weight is None:
        return ops.ones(shape, losses.dtype)
    weights = ops.cast(sample_weight, losses.dtype)
    if len(weights.shape) > len(losses.shape):
        weights = ops.squeeze(weights, -1)
    for _ in range(len(losses.shape) - len(weights.shape)):
        weights = ops.expand_dims(weights, -1)
    return ops.broadcast_to(weights, shape)


@keras.saving.register_keras_serializable("kerasbert")
class FunctionLoss(keras.losses.Loss):
    """A function of labels and outputs as a loss; the mean over the batch."""

    def __init__(self, function, **kwargs):
        # TensorFlow takes no name such as "<lambda>".
        name = re.sub(r"\W", "", getattr(function, "__name__", "")) or "loss"
        super().__init__(**{"name": name, **kwargs})
        self.function = function

    def call(self, y_true, y_pred):
        """What the function gives, of labels and outputs with as many axes, as in Keras."""
        return self.function(*_with_equal_rank(y_true, y_pred))

    def get_config(self):
        """The function, by its registered name."""
        return {"function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["function"]))


def _with_equal_rank(y_true, y_pred) -> tuple:
    """The same tensors; where one alone has a last axis of one, the other gets it."""
    ranks = [len(y_true.shape), len(y_pred.shape)]
    if ranks[1] == ranks[0] + 1 and y_pred.shape[-1] == 1:
        y_true = keras.ops.expand_dims(y_true, -1)
    elif ranks[0] == ranks[1] + 1 and y_true.shape[-1] == 1:
        y_pred = keras.ops.expand_dims(y_pred, -1)
    return y_true, y_pred


def global_mean(loss):
    """Every loss in what Keras's `compile` takes, as a `GlobalBatchLoss`; None stays None."""
    if isinstance(loss, dict):
        return {name: global_mean(one) for name, one in loss.items()}
    if isinstance(loss, list | tuple):
        return type(loss)(global_mean(one) for one in loss)
    if loss is None or isinstance(loss, GlobalBatchLoss):
        return loss
    loss = keras.losses.get(loss)
    return GlobalBatchLoss(loss if isinstance(loss, keras.losses.Loss) else FunctionLoss(loss))
