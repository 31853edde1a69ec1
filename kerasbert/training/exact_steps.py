"""The steps of an `ExactModel` on TensorFlow, whole or in pieces, and of several workers."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.features import PADDING_MASK
from kerasbert.training.exact_optimizer import SEEN


class GlobalBatchSteps(_compat.TrainerHooks, keras.Model):
    """The steps of an `ExactModel` on TensorFlow."""

    counts = SEEN

    # === One step ===

    def train_step(self, data):
        """Keras's, perhaps in pieces."""
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
        return {name: seen.value[index] for index, name in enumerate(SEEN)}

    def _accumulated_step(self, data) -> dict:
        batch = _Batch(*keras.utils.unpack_x_y_sample_weight(data))
        microbatches, variables = self.accumulation_steps, self.trainable_weights
        self._divide_by(self._weights_of(batch), microbatches)
        gradients, losses = None, []
        for index in range(microbatches):
            # Without this TensorFlow would compute the pieces side by side.
            with tf.control_dependencies(gradients or []):
                microbatch = batch.microbatch(index, microbatches)
            loss, added = self._gradients(microbatch, variables)
            gradients = added if gradients is None else list(map(tf.add, gradients, added))
            losses.append(loss)
            logs = self.compute_metrics(*microbatch.outcome)
        self._divide_by(None, microbatches)
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
        if self.losses:
            raise InputError("accumulation_steps: layers with losses of their own are not exact")
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        gradients = tape.gradient(scaled, variables, unconnected_gradients="zero")
        return loss * replicas, [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _weights_of(self, batch: "_Batch") -> list:
        """What each loss of the whole batch, of all replicas, is to be divided by."""
        # Only of what kind the outputs are matters, so TensorFlow leaves computing them out.
        outputs = self(batch.x, training=False)
        _compat.build_losses(self, batch.y, outputs)
        weights = [
            loss.divisor(*(_at(path, part) for part in (batch.y, outputs, batch.sample_weight)))
            for path, loss in _compat.flat_losses(self)
        ]
        return tf.distribute.get_replica_context().all_reduce("SUM", weights)

    def _divide_by(self, weights: list | None, microbatches: int) -> None:
        for index, (_, loss) in enumerate(_compat.flat_losses(self)):
            loss.set_global_batch(weights and weights[index], microbatches)

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


def _at(path: tuple, structure):
    """What stands at a path of keys; None stands everywhere in None."""
    for key in path:
        if structure is None or not isinstance(structure, dict | list | tuple):
            return structure
        structure = structure[key]
    return structure
