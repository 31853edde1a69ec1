"""Training steps on TensorFlow, whole or in microbatches, and of several workers; see `steps`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK

#: TensorFlow keeps int32 variables in the host's memory, where a step that XLA compiles for a GPU
#: does not reach them.
COUNTER_DTYPE = "int64"
#: The shape that a number beyond 31 bits has.
LONG_SHAPE = ()


def counter_scope(optimizer):
    """Where variables that count are made: in the optimizer's strategy."""
    return _compat.strategy_of(optimizer).scope()


def keep_with(optimizer, variables: list) -> None:
    """Nothing: a step changes variables wherever they are, and files know the others by number."""


def num_replicas() -> int:
    """How many replicas there are; 0: this is not on one of them, so nothing can be summed."""
    if tf.distribute.get_replica_context() is None:
        return 0
    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(tensors: list) -> list:
    """The sum of what each replica has, tensor by tensor."""
    return tf.distribute.get_replica_context().all_reduce("SUM", tensors)


def result_spec(function: Callable, *tensors):
    """Shape and dtype of what a function of tensors returns."""
    specs = map(tf.TensorSpec.from_tensor, tensors)
    graph = tf.function(function, autograph=False).get_concrete_function(*specs)
    return graph.structured_outputs


def gradients_of_all(gradients: list) -> list:
    """The gradients of all replicas together."""
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return sum_over_replicas(gradients) if num_replicas() > 1 else gradients


def global_norm(gradients: list):
    """The norm of all gradients together, float32."""
    # Weights may be of different dtypes, and half precision has no room for squares.
    return tf.linalg.global_norm([tf.cast(gradient, tf.float32) for gradient in gradients])


def update_variables(optimizer, finite, once: list, step: Callable, variables, *columns) -> None:
    """Takes a step if the gradients are finite, on all replicas alike.

    Args:
        optimizer: whose variables change too.
        finite: bool, whether they are.
        once: pairs of a variable and what it is multiplied by before any other changes.
        step: called with each variable, and its value of every column.
        variables: those that are trained.
        *columns: a value for each variable.
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

        # One condition for all: one for each would take most of the time of making the graph. All
        # replicas have seen the same gradients.
        tf.cond(strategy.experimental_local_results(finite)[0], take, lambda: False)

    _compat.merge_call(update, strategy, [(_value(v), x) for v, x in once], rows, finite)


def _value(value):
    """TensorFlow's variable of Keras's; others as they are."""
    return value.value if isinstance(value, keras.Variable) else value


class GlobalBatchSteps(_compat.TrainerHooks, keras.Model):
    """The steps of a `ExactModel` on TensorFlow."""

    def sync_state(self) -> None:
        """Nothing: variables always have their values here."""

    # === One step ===

    def train_step(self, data):
        """Keras's, perhaps in microbatches."""
        microbatches = self.accumulation_steps > 1
        logs = self._accumulated_step(data) if microbatches else super().train_step(data)
        return {**logs, **self._count(data)} if self.counts_examples else logs

    def _count(self, data) -> dict:
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        first = tf.nest.flatten(x)[0]
        mask = x.get(PADDING_MASK) if isinstance(x, dict) else None
        mask = tf.ones_like(first, tf.int32) if mask is None else mask
        counts = [tf.shape(first)[0], tf.reduce_sum(mask), tf.size(mask)]
        counts = tf.cast(tf.stack(counts), tf.int64)
        seen = self.optimizer.seen
        seen.assign_add(tf.distribute.get_replica_context().all_reduce("SUM", counts))
        # Single slices stay on a GPU until somebody looks; `unstack` would wait for it.
        return {name: seen.value[index] for index, name in enumerate(self.counts)}

    def _accumulated_step(self, data) -> dict:
        batch = _Batch(*keras.utils.unpack_x_y_sample_weight(data))
        microbatches, variables = self.accumulation_steps, self.trainable_weights
        self.set_global_batch(self._weights_of(batch), microbatches)
        gradients, losses = None, []
        for index in range(microbatches):
            # Without this TensorFlow would compute the pieces side by side.
            with tf.control_dependencies(gradients or []):
                microbatch = batch.microbatch(index, microbatches)
            loss, added = self._gradients(microbatch, variables)
            gradients = added if gradients is None else list(map(tf.add, gradients, added))
            losses.append(loss)
            logs = self.compute_metrics(*microbatch.outcome)
        self.set_global_batch(None, microbatches)
        tracker = _compat.loss_tracker(self)
        tracker.update_state(tf.add_n(losses) / microbatches, sample_weight=batch.rows)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {**logs, "loss": tracker.result()}

    def _gradients(self, microbatch: "_Batch", variables: list):
        """The loss of a piece as Keras reports it, and its part of the gradient."""
        with tf.GradientTape() as tape:
            microbatch.y_pred = self(microbatch.x, training=True)
            loss = _compat.compute_loss(self, *microbatch.outcome)
            scaled = self.optimizer.scale_loss(loss)
        self.check_layer_losses(self.losses)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        gradients = tape.gradient(scaled, variables, unconnected_gradients="zero")
        return loss * replicas, [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _weights_of(self, batch: "_Batch") -> list:
        """What each loss of the whole batch, of all replicas, is to be divided by."""
        # Only of what kind the outputs are matters, so TensorFlow leaves computing them out.
        outputs = self(batch.x, training=False)
        _compat.build_losses(self, batch.y, outputs)
        return sum_over_replicas(self.loss_divisors(batch.y, outputs, batch.sample_weight))

    def make_train_function(self, force=False):
        """Keras's, after all variables are there: otherwise the graph has to be made twice."""
        with self.distribute_strategy.scope():
            if self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(self.trainable_variables)
            if _are_alike(_compat.given_loss(self), self.output):
                _compat.build_losses(self, self.output, self.output)
        return super().make_train_function(force)

    # === What Keras does wrongly under a strategy ===

    def step_function(self, step):
        """One that gathers nothing from workers that they don't have; None: Keras's."""
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
            try:
                for _ in range(self.steps_per_execution):
                    logs = one_step(iterator)
            except tf.errors.OutOfRangeError:
                raise StopIteration from None
            return logs

        return function


@dataclasses.dataclass
class _Batch:
    """A batch of examples, or a piece of it, and what the model made of it."""

    x: Any
    y: Any
    sample_weight: Any
    y_pred: Any = None

    @property
    def rows(self):
        return tf.shape(tf.nest.flatten(self.x)[0])[0]

    @property
    def outcome(self) -> tuple:
        """What losses and metrics look at."""
        return self.x, self.y, self.y_pred, self.sample_weight

    def microbatch(self, index: int, microbatches: int) -> "_Batch":
        """One of nearly equal pieces; some have no rows if there are fewer rows than pieces."""
        first, end = self.rows * index // microbatches, self.rows * (index + 1) // microbatches
        parts = (self.x, self.y, self.sample_weight)
        return _Batch(
            *tf.nest.map_structure(lambda part: None if part is None else part[first:end], parts)
        )


def _are_alike(one, other) -> bool:
    """Whether both are dicts with the same keys."""
    return isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys()
