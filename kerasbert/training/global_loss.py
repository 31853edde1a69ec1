"""Losses averaged over the global batch, over any number of replicas and microbatches.

Keras on TensorFlow averages each replica's mean loss, which is wrong if replicas have different
weights or numbers of rows.
"""

import re
from typing import Any, Self

import keras
from keras import ops

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.features import static_shape
from kerasbert.training.steps import backend


@keras.saving.register_keras_serializable("kerasbert", name="GlobalMean")
class GlobalBatchLoss(keras.losses.Loss):
    """A loss whose mean is taken over the batches of all replicas together.

    On every replica its value is that mean divided by the number of replicas; the gradients of all
    replicas sum to the gradient of the mean. On one device it is the wrapped loss.

    Args:
        loss: Keras loss to wrap.
    """

    def __init__(self, loss: keras.losses.Loss, **kwargs: Any):
        super().__init__(**{"name": loss.name, "reduction": loss.reduction, **kwargs})
        self.loss = loss
        self._whole = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Returns the loss of a batch or microbatch, a scalar; see the class.

        Raises:
            InputError: the outputs have a mask of Keras's, which is not that of the global batch.
        """
        replicas = backend.num_replicas()
        alone = replicas == 1 and self._whole is None
        if not replicas or isinstance(y_pred, keras.KerasTensor):
            return self.loss(y_true, y_pred, sample_weight)
        if alone and not _has_one_weight_per_row(y_pred, sample_weight):
            return self.loss(y_true, y_pred, sample_weight)
        if _compat.mask_of(y_pred) is not None:
            raise InputError(
                f"the loss {self.name}: the outputs have a mask (of mask_zero=True, say), which is "
                "not exact on several replicas or in microbatches; give it as sample_weight instead"
            )
        total, by = self.sums(y_true, y_pred, sample_weight)
        if self._whole is None:
            microbatches = 1
            total_of_all, by = backend.sum_over_replicas([ops.stop_gradient(total), by])
        else:
            by, microbatches = self._whole
            (total_of_all,) = backend.sum_over_replicas([ops.stop_gradient(total)])
        share = ops.divide_no_nan(total, by)
        value = ops.divide_no_nan(total_of_all, by) * microbatches / replicas
        # `value` with the gradient of `share`; Keras multiplies values by the number of replicas.
        return share + ops.stop_gradient(value - share)

    def set_global_batch(self, by: Any, microbatches: int) -> None:
        """Sets the divisor for the next calls, each of which gets one microbatch of a batch.

        The gradients of the microbatches sum to the gradient of the global batch's loss; the mean
        of their values is that loss.

        Args:
            by: divisor of the sum of all losses, scalar, see `sums`; None: calls get whole batches.
            microbatches: number of microbatches.
        """
        self._whole = None if by is None else (by, microbatches)

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Returns the weighted sum of the losses and the divisor that makes it a mean.

        Both can be summed over replicas.
        """
        y_true = ops.convert_to_tensor(y_true)
        losses = self._losses(y_true, y_pred)
        if static_shape(losses) == ():  # of a function that returns the mean of its batch
            losses = ops.broadcast_to(losses, ops.shape(y_true)[:1])
        weights = _weights(ops.shape(losses), losses.dtype, sample_weight)
        return ops.sum(losses * weights), self._divisor(weights)

    def divisor(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Returns only the divisor, without computing losses if their shape is known."""
        y_true = ops.convert_to_tensor(y_true)
        losses = backend.result_spec(self._losses, y_true, y_pred)
        shape, labels = (static_shape(tensor) for tensor in (losses, y_true))
        if shape == ():
            shape = ops.shape(y_true)[:1]
        elif shape is None or None in shape:
            if shape is None or labels is None or labels[1 : len(shape)] != shape[1:]:
                return self.sums(y_true, y_pred, sample_weight)[1]  # not one loss per label
            shape = ops.shape(y_true)[: len(shape)]
        return self._divisor(_weights(shape, losses.dtype, sample_weight))

    def _losses(self, y_true, y_pred):
        """Returns the loss of each output; outputs and real labels are cast as Keras does.

        Classes stay integers: a loss would cast them back, and a GPU has to wait for that.
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if not keras.backend.is_int_dtype(y_true.dtype):
            y_true = ops.cast(y_true, self.loss.dtype)
        return self.loss.call(y_true, ops.cast(y_pred, self.loss.dtype))

    def _divisor(self, weights):
        if self.reduction == "sum":
            return ops.ones((), weights.dtype) / backend.num_replicas()
        if self.reduction == "mean_with_sample_weight":
            return ops.sum(weights)
        return ops.cast(ops.size(weights), weights.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the config, with the wrapped loss."""
        return {"loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Creates a loss from the config of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["loss"]))


def _has_one_weight_per_row(y_pred, sample_weight) -> bool:
    """Whether rows of several outputs have one weight, which Keras multiplies by another axis."""
    of_rows = sample_weight is not None and len(sample_weight.shape) == 1
    return of_rows and len(y_pred.shape) > 2


def _weights(shape, dtype, sample_weight):
    """Returns sample weights broadcast to `shape`, which weights of fewer axes begin."""
    if sample_weight is None:
        return ops.ones(shape, dtype)
    weights = ops.cast(sample_weight, dtype)
    if len(weights.shape) > len(shape):
        weights = ops.squeeze(weights, -1)
    for _ in range(len(shape) - len(weights.shape)):
        weights = ops.expand_dims(weights, -1)
    return ops.broadcast_to(weights, shape)


@keras.saving.register_keras_serializable("kerasbert")
class FunctionLoss(keras.losses.Loss):
    """Wraps a function of labels and outputs as a loss, averaged over the batch.

    Args:
        function: function that returns the loss of each example.
        **kwargs: as in `keras.losses.Loss`.
    """

    def __init__(self, function: Any, **kwargs: Any):
        # TensorFlow does not accept a name such as "<lambda>".
        name = re.sub(r"\W", "", getattr(function, "__name__", "")) or "loss"
        super().__init__(**{"name": name, **kwargs})
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Calls the function with labels and outputs of equal rank, as Keras does."""
        return self.function(*_with_equal_rank(y_true, y_pred))

    def get_config(self) -> dict[str, Any]:
        """Returns the config, with the function serialized by its registered name."""
        return {"function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Creates a loss from the config of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["function"]))


def _with_equal_rank(y_true, y_pred) -> tuple:
    """Returns both tensors; if only one has a last axis of size 1, the other is given one too."""
    ranks = [len(y_true.shape), len(y_pred.shape)]
    if ranks[1] == ranks[0] + 1 and y_pred.shape[-1] == 1:
        y_true = keras.ops.expand_dims(y_true, -1)
    elif ranks[0] == ranks[1] + 1 and y_true.shape[-1] == 1:
        y_pred = keras.ops.expand_dims(y_pred, -1)
    return y_true, y_pred


def global_mean(loss: Any) -> Any:
    """Wraps every loss of a structure that `compile` accepts in a `GlobalBatchLoss`; keeps None."""
    if isinstance(loss, dict):
        return {name: global_mean(one) for name, one in loss.items()}
    if isinstance(loss, list | tuple):
        return type(loss)(global_mean(one) for one in loss)
    if loss is None or isinstance(loss, GlobalBatchLoss):
        return loss
    loss = keras.losses.get(loss)
    return GlobalBatchLoss(loss if isinstance(loss, keras.losses.Loss) else FunctionLoss(loss))
