"""Training that is exact under `tf.distribute`: N replicas do what one device does on their batch.

Keras 3 on TensorFlow averages each replica's mean loss (wrong where weights or rows are uneven),
clips gradients before they are summed, and can't `fit` on several workers at all (keras issues
20585 and 20582). Here a loss is divided by the weight of the *global* batch, gradients are summed
before anything else is done to them, and a step whose gradient is not finite changes no weight.
"""

import types

import keras

from kerasbert.errors import InputError


@keras.saving.register_keras_serializable("kerasbert")
class GlobalMean(keras.losses.Loss):
    """A loss whose mean is taken over the batches of all replicas together.

    Its value, times the number of replicas, is that mean on every replica; its gradients add up to
    the mean's gradient. On one device it is the loss itself.

    Args:
        loss: a Keras loss.
    """

    def __init__(self, loss: keras.losses.Loss, **kwargs):
        super().__init__(**{"name": loss.name, "reduction": loss.reduction, **kwargs})
        self.loss = loss

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss, see the class."""
        import tensorflow as tf

        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        context = tf.distribute.get_replica_context()
        if replicas == 1 or context is None or isinstance(y_pred, keras.KerasTensor):
            return self.loss(y_true, y_pred, sample_weight)
        total, by = self._sum(y_true, y_pred, sample_weight)
        whole, by = context.all_reduce("SUM", [tf.stop_gradient(total), by])
        share = tf.math.divide_no_nan(total, by)
        value = tf.math.divide_no_nan(whole, by) / replicas
        # The value of the one and the gradient of the other: Keras scales values up again.
        return share + tf.stop_gradient(value - share)

    def _sum(self, y_true, y_pred, sample_weight):
        """This replica's sum of losses, and what the global sum is to be divided by."""
        import tensorflow as tf

        losses = self.loss.call(tf.convert_to_tensor(y_true), y_pred)
        weights = tf.ones_like(losses)
        if sample_weight is not None:
            weights = tf.cast(sample_weight, losses.dtype)
            for _ in range(losses.shape.rank - weights.shape.rank):
                weights = weights[..., tf.newaxis]
            weights = tf.broadcast_to(weights, tf.shape(losses))
        total = tf.reduce_sum(losses * weights)
        if self.reduction == "sum":
            return total, tf.ones_like(total) / tf.distribute.get_strategy().num_replicas_in_sync
        if self.reduction == "mean_with_sample_weight":
            return total, tf.reduce_sum(weights)
        return total, tf.cast(tf.size(losses), total.dtype)

    def get_config(self):
        """The loss that is wrapped."""
        return {"loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["loss"]))


@keras.saving.register_keras_serializable("kerasbert")
class FunctionLoss(keras.losses.Loss):
    """A function of labels and outputs as a loss; the mean over the batch."""

    def __init__(self, function, **kwargs):
        super().__init__(**{"name": getattr(function, "__name__", "loss"), **kwargs})
        self.function = function

    def call(self, y_true, y_pred):
        """What the function gives."""
        return self.function(y_true, y_pred)

    def get_config(self):
        """The function, by its registered name."""
        return {"function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["function"]))


def global_mean(loss):
    """Every loss in what Keras's `compile` takes, as a `GlobalMean`; None stays None."""
    if isinstance(loss, dict):
        return {name: global_mean(one) for name, one in loss.items()}
    if isinstance(loss, list | tuple):
        return type(loss)(global_mean(one) for one in loss)
    if loss is None or isinstance(loss, GlobalMean):
        return loss
    loss = keras.losses.get(loss)
    return GlobalMean(loss if isinstance(loss, keras.losses.Loss) else FunctionLoss(loss))


def exact_updates(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Makes an optimizer sum gradients over replicas first, and skip steps that are not finite.

    Args:
        optimizer: any of Keras's; changed in place.

    Returns:
        The optimizer; its `skipped_steps` and `skipped_in_a_row` count.

    Raises:
        InputError: it accumulates gradients itself, or overwrites weights with their average, which
            Keras does wrongly under a strategy.
    """
    for option in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
        if getattr(optimizer, option, None):
            raise InputError(
                f"an optimizer with {option} is not exact under a strategy; leave it out"
            )
    if not hasattr(optimizer, "skipped_steps"):  # it may be compiled again
        with optimizer._distribution_strategy.scope():
            # Steps that were skipped, in all and since the last that was not.
            optimizer.skipped_steps, optimizer.skipped_in_a_row = (_counter() for _ in range(2))
    optimizer._backend_apply_gradients = types.MethodType(_apply_gradients, optimizer)
    # Keras puts the averages in place of the weights whenever `fit` ends, and trains on from them.
    optimizer.finalize_variable_values = lambda variables: None
    return optimizer


def _counter() -> keras.Variable:
    return keras.Variable(0, dtype="int32", trainable=False, aggregation="only_first_replica")


def _apply_gradients(optimizer, gradients, variables) -> None:
    import tensorflow as tf

    strategy = optimizer._distribution_strategy
    variables = [v.value if isinstance(v, keras.Variable) else v for v in variables]
    if strategy.num_replicas_in_sync > 1:
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        gradients = tf.distribute.get_replica_context().all_reduce("SUM", dense)
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(_values(g))) for g in gradients])
    skipped = tf.cast(~finite, tf.int32)
    optimizer.skipped_steps.assign_add(skipped)
    optimizer.skipped_in_a_row.assign((optimizer.skipped_in_a_row + 1) * skipped)
    gradients = optimizer._clip_gradients(gradients)
    averages = _averages(optimizer, variables)

    def update(strategy, gradients, finite, rate, momentum):
        def one(variable, gradient, average, finite, rate, momentum):
            def step():
                _decay(optimizer, variable, rate)
                optimizer.update_step(gradient, variable, rate)
                if average is not None:
                    average.assign(momentum * average + (1 - momentum) * variable)
                return True

            return tf.cond(finite, step, lambda: False)

        for variable, gradient, average in zip(variables, gradients, averages, strict=True):
            arguments = (gradient, average, finite, rate, momentum)
            strategy.extended.update(variable, one, args=arguments, group=False)

    # Averages begin as 0, so the first step that is not skipped sets them.
    done = optimizer.iterations - tf.cast(optimizer.skipped_steps, optimizer.iterations.dtype)
    first = tf.cast(done == 0, tf.float32)
    momentum = (1 - first) * (optimizer.ema_momentum if optimizer.use_ema else 0.0)
    tf.__internal__.distribute.interim.maybe_merge_call(
        update, strategy, gradients, finite, optimizer.learning_rate, momentum
    )


def _values(gradient):
    import tensorflow as tf

    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def _averages(optimizer, variables) -> list:
    """The moving average of each variable, or None."""
    if not optimizer.use_ema:
        return [None] * len(variables)
    averages = optimizer._model_variables_moving_average
    found = [averages[optimizer._get_variable_index(v)] for v in variables]
    return [average.value for average in found]


def _decay(optimizer, variable, rate) -> None:
    import tensorflow as tf

    if optimizer.weight_decay is not None and optimizer._use_weight_decay(variable):
        decay = tf.cast(optimizer.weight_decay, variable.dtype)
        variable.assign_sub(variable * decay * tf.cast(rate, variable.dtype))


class ExactModel(keras.Model):
    """A Keras model whose `compile` and `fit` are exact under every strategy."""

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """Keras's `compile`."""
        if keras.backend.backend() == "tensorflow":
            optimizer = exact_updates(keras.optimizers.get(optimizer))
            loss = global_mean(loss)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras reduces the first batch to its mean over replicas, which fails on several workers.
        if self._distribute_strategy is None:
            return
        strategy = self.distribute_strategy
        if iterator is not None:
            _, _, batches = next(iter(iterator))
            data_batch = keras.tree.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], next(batches)
            )
        with strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def _make_function(self, step_function):
        # Keras reduces metrics over replicas along an axis that they don't have.
        import tensorflow as tf

        strategy = self.distribute_strategy
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return super()._make_function(step_function)

        def one_step(data):
            outputs = strategy.run(step_function, args=(data,))
            return keras.tree.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], outputs
            )

        one_step = tf.function(one_step, reduce_retracing=True, autograph=False)

        def function(iterator):
            for _ in range(self.steps_per_execution):
                logs = one_step(next(iterator))
            return logs

        return function
