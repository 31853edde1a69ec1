"""Losses whose mean is that of the global batch, whatever replicas and pieces it is cut into.

Keras on TensorFlow averages each replica's mean loss, which is wrong where weights or rows are
uneven.
"""

import re

import keras

_ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if _ON_TENSORFLOW:  # a `.keras` file may bring these losses to another backend, where it is not
    import tensorflow as tf


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
        if not _ON_TENSORFLOW:
            return self.loss(y_true, y_pred, sample_weight)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        context = tf.distribute.get_replica_context()
        alone = replicas == 1 and self._whole is None
        if alone or context is None or isinstance(y_pred, keras.KerasTensor):
            return self.loss(y_true, y_pred, sample_weight)
        total, by = self.sums(y_true, y_pred, sample_weight)
        if self._whole is None:
            microbatches = 1
            total_of_all, by = context.all_reduce("SUM", [tf.stop_gradient(total), by])
        else:
            by, microbatches = self._whole
            total_of_all = context.all_reduce("SUM", tf.stop_gradient(total))
        share = tf.math.divide_no_nan(total, by)
        value = tf.math.divide_no_nan(total_of_all, by) * microbatches / replicas
        # The value of the one and the gradient of the other: Keras scales values up again.
        return share + tf.stop_gradient(value - share)

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
        losses = self.loss.call(tf.convert_to_tensor(y_true), y_pred)
        weights = _weights(tf.shape(losses), losses, sample_weight)
        return tf.reduce_sum(losses * weights), self._divisor(weights)

    def divisor(self, y_true, y_pred, sample_weight=None):
        """The second of `sums`; where each loss has a label, no output is computed for it."""
        y_true = tf.convert_to_tensor(y_true)
        call = tf.function(self.loss.call, autograph=False)
        specs = map(tf.TensorSpec.from_tensor, (y_true, y_pred))
        losses = call.get_concrete_function(*specs).structured_outputs
        rank = losses.shape.rank
        if y_true.shape.rank is None or y_true.shape[1:rank] != losses.shape[1:]:
            return self.sums(y_true, y_pred, sample_weight)[1]  # labels that are not one for each
        shape = tf.shape(y_true)[:rank]
        return self._divisor(_weights(shape, losses, sample_weight))

    def _divisor(self, weights):
        if self.reduction == "sum":
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            return tf.ones([], weights.dtype) / replicas
        if self.reduction == "mean_with_sample_weight":
            return tf.reduce_sum(weights)
        return tf.cast(tf.size(weights), weights.dtype)

    def get_config(self):
        """The loss that is wrapped."""
        return {"loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["loss"]))


def _weights(shape, losses, sample_weight):
    """The weight of each loss, of such a shape; `losses` may be a `tf.TensorSpec`."""
    if sample_weight is None:
        return tf.ones(shape, losses.dtype)
    weights = tf.cast(sample_weight, losses.dtype)
    if weights.shape.rank > losses.shape.rank:
        weights = tf.squeeze(weights, -1)
    for _ in range(losses.shape.rank - weights.shape.rank):
        weights = weights[..., tf.newaxis]
    return tf.broadcast_to(weights, shape)


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
