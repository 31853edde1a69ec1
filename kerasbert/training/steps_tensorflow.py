"""Training steps on TensorFlow, with microbatches and several workers; see `steps`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK

#: TensorFlow keeps int32 variables in host memory, which a step compiled by XLA for a GPU can't
#: access.
COUNTER_DTYPE = "int64"
#: Shape of a count that may exceed 31 bits.
LONG_SHAPE = ()


def counter_scope(optimizer: Any) -> Any:
    """Returns the scope in which counters are created: that of the optimizer's strategy."""
    return _compat.strategy_of(optimizer).scope()


def keep_with(optimizer: Any, variables: list[Any]) -> None:
    """Does nothing: no step needs it, and it would renumber the optimizer's variables in files."""


def num_replicas() -> int:
    """Returns the number of replicas; 0 outside a replica context, where nothing can be summed."""
    if tf.distribute.get_replica_context() is None:
        return 0
    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(tensors: list[Any]) -> list[Any]:
    """Returns each tensor summed over replicas."""
    return tf.distribute.get_replica_context().all_reduce("SUM", tensors)


def result_spec(function: Callable[..., Any], *tensors: Any) -> Any:
    """Returns the shape and dtype of a function's result, without computing it."""
    specs = map(tf.TensorSpec.from_tensor, tensors)
    graph = tf.function(function, autograph=False).get_concrete_function(*specs)
    return graph.structured_outputs


def gradients_of_all(gradients: list[Any]) -> list[Any]:
    """Returns the gradients summed over replicas."""
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return sum_over_replicas(gradients) if num_replicas() > 1 else gradients


def global_norm(gradients: list[Any]) -> Any:
    """Returns the global norm of the gradients, a float32 scalar."""
    # Gradients may have different dtypes, and squares overflow in half precision.
    return tf.linalg.global_norm([tf.cast(gradient, tf.float32) for gradient in gradients])


def update_variables(
    optimizer: Any,
    finite: Any,
    once: list[Any],
    step: Callable[..., Any],
    variables: Any,
    *columns: Any,
) -> None:
    """Updates the variables if the gradients are finite; the same on all replicas.

    Args:
        optimizer: optimizer of the variables; `step` may change its variables too.
        finite: whether the gradients are finite, bool scalar.
        once: pairs of a variable and the factor that it is multiplied by before all updates.
        step: function that updates one variable; called with the variable and its values in
            `columns`.
        variables: trainable variables.
        *columns: lists with one value for each variable.
    """
    strategy = _compat.strategy_of(optimizer)
    rows = [tuple(map(_value, row)) for row in zip(variables, *columns, strict=True)]

    def update(strategy, once, rows, finite):
        def change(variable, function, *values):
            strategy.extended.update(variable, function, args=values, group=False)

        def take():
            for variable, factor in once:
                change(variable, lambda v, x: v.assign(v * x), factor)
            for variable, *values in rows:
                change(variable, step, *values)
            return True

        # One condition for all variables: one for each would take most of the time to trace the
        # graph. `finite` is the same on all replicas, because gradients have been summed.
        tf.cond(strategy.experimental_local_results(finite)[0], take, lambda: False)

    _compat.merge_call(update, strategy, [(_value(v), x) for v, x in once], rows, finite)


def _value(value):
    """Returns the TensorFlow variable of a Keras variable; other values unchanged."""
    return value.value if isinstance(value, keras.Variable) else value


class GlobalBatchSteps(_compat.TrainerHooks, keras.Model):
    """The steps of an `ExactModel` on TensorFlow."""

    def sync_state(self) -> None:
        """Does nothing: on TensorFlow, variables always hold their current values.

        On JAX, `fit` holds them outside of the model until this is called.

        Examples:
            >>> model.sync_state()
        """

    # === One step ===

    def train_step(self, data: Any) -> Any:
        """Runs one training step, in microbatches if `accumulation_steps` is more than 1."""
        step = self._accumulated_step if self.accumulation_steps > 1 else super().train_step
        logs = step(self.step_data(data))
        if num_replicas() > 1:
            logs = {**logs, "loss": self._mean_loss()}
        return {**logs, **self._count(data)} if self.counts_examples else logs

    def _mean_loss(self):
        """Returns the mean loss since the metrics were reset, over all replicas.

        A replica's own mean weights batches by its own rows, which are not the same share of every
        batch, least of all in a run that is resumed with another number of replicas.
        """
        tracker = _compat.loss_tracker(self)
        own = [tf.convert_to_tensor(variable) for variable in (tracker.total, tracker.count)]
        (sums,) = sum_over_replicas([tf.stack(own)])
        return tf.math.divide_no_nan(sums[0], sums[1])

    def test_step(self, data: Any) -> Any:
        """Runs one evaluation step."""
        return super().test_step(self.step_data(data))

    def _count(self, data) -> dict:
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        first = tf.nest.flatten(x)[0]
        mask = x.get(PADDING_MASK) if isinstance(x, dict) else None
        mask = tf.ones_like(first, tf.int32) if mask is None else mask
        counts = [tf.shape(first)[0], tf.reduce_sum(mask), tf.size(mask)]
        counts = tf.cast(tf.stack(counts), tf.int64)
        seen = self.optimizer.seen
        seen.assign_add(tf.distribute.get_replica_context().all_reduce("SUM", counts))
        # Slices stay on a GPU until their values are read; `unstack` would wait for it.
        return {name: seen.value[index] for index, name in enumerate(self.counts)}

    def _accumulated_step(self, data) -> dict:
        batch = _Batch(*keras.utils.unpack_x_y_sample_weight(data))
        microbatches, variables = self.accumulation_steps, self.trainable_weights
        self.set_global_batch(self._divisors(batch), microbatches)
        gradients, losses = [], []
        for index in range(microbatches):
            # Without this dependency TensorFlow would compute the microbatches in parallel.
            with tf.control_dependencies(gradients):
                microbatch = batch.microbatch(index, microbatches)
            loss, added = self._gradients(microbatch, variables)
            gradients = list(map(tf.add, gradients, added)) if gradients else added
            losses.append(loss)
            logs = self.compute_metrics(*microbatch.outcome)
        self.set_global_batch(None, microbatches)
        tracker = _compat.loss_tracker(self)
        tracker.update_state(tf.add_n(losses) / microbatches, sample_weight=batch.rows)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {**logs, "loss": tracker.result()}

    def _gradients(self, microbatch: "_Batch", variables: list):
        """Returns the loss of a microbatch as Keras logs it, and the microbatch's gradients."""
        with tf.GradientTape() as tape:
            microbatch.y_pred = self(microbatch.x, training=True)
            loss = _compat.compute_loss(self, *microbatch.outcome)
            scaled = self.optimizer.scale_loss(loss)
        self.check_layer_losses(self.losses)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        gradients = tape.gradient(scaled, variables, unconnected_gradients="zero")
        return loss * replicas, [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _divisors(self, batch: "_Batch") -> list:
        """Returns each loss's divisor for the global batch."""
        # Normally only shapes and dtypes are used, so TensorFlow prunes this forward pass.
        outputs = self(batch.x, training=False)
        return sum_over_replicas(self.loss_divisors(batch.y, outputs, batch.sample_weight))

    def make_train_function(self, force: bool = False) -> Any:
        """Creates variables before Keras's function, so that its graph is not traced twice."""
        with self.distribute_strategy.scope():
            if self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)
            if _are_alike(_compat.given_loss(self), self.output):
                _compat.build_losses(self, self.output, self.output)
        return super().make_train_function(force)

    # === Corrections to Keras under a strategy ===

    def step_function(self, step: Any) -> Any:
        """Returns a step function for several workers; None: use Keras's.

        It takes the first local replica's logs instead of reducing them over workers.

        Args:
            step: function of one batch.
        """
        strategy = self.distribute_strategy
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return None
        if self.jit_compile or self.run_eagerly:
            raise InputError("several workers can't take jit_compile or run_eagerly; leave it out")

        @tf.function(autograph=False)
        def one_step(iterator):
            outputs = strategy.run(step, args=(iterator.get_next(),))
            return keras.tree.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], outputs
            )

        def function(iterator):
            logs = None
            for _ in range(self.steps_per_execution):
                try:
                    logs = one_step(iterator)
                except tf.errors.OutOfRangeError:
                    if logs is None:
                        raise StopIteration from None
                    break  # the last execution may have fewer steps
            return logs

        return function


@dataclasses.dataclass
class _Batch:
    """A batch or microbatch, and the outputs of the model for it."""

    x: Any
    y: Any
    sample_weight: Any
    y_pred: Any = None

    @property
    def rows(self):
        return tf.shape(tf.nest.flatten(self.x)[0])[0]

    @property
    def outcome(self) -> tuple:
        """The arguments of losses and metrics."""
        return self.x, self.y, self.y_pred, self.sample_weight

    def microbatch(self, index: int, microbatches: int) -> "_Batch":
        """Returns microbatch `index` of `microbatches` of nearly equal size.

        Some have no rows if there are fewer rows than microbatches.
        """
        first, end = self.rows * index // microbatches, self.rows * (index + 1) // microbatches
        parts = (self.x, self.y, self.sample_weight)
        return _Batch(
            *tf.nest.map_structure(lambda part: None if part is None else part[first:end], parts)
        )


def _are_alike(one, other) -> bool:
    """Returns whether both are dicts with the same keys."""
    return isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys()
