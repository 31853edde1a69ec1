"""Training steps on JAX, see `steps`.

A step is one program over the global batch, whatever the mesh: losses and gradients are those of
all devices, and nothing has to be summed here. A step is a function of its state, so nothing is
changed under a condition: values are chosen.
"""

import contextlib
from collections.abc import Callable

import jax
import keras
import numpy as np
from keras import ops

from kerasbert import _compat
from kerasbert.features import PADDING_MASK

_compat.share_out_any_batch()

#: JAX has no wider integers unless a process asks for them.
COUNTER_DTYPE = "int32"
#: The shape that a number beyond 31 bits has: what lies below and above so many bits.
LONG_SHAPE = (2,)
_LOW_BITS = 30


def counter_scope(optimizer):
    """Where variables that count are made: anywhere."""
    return contextlib.nullcontext()


def keep_with(optimizer, variables: list) -> None:
    """Makes variables the optimizer's: a step knows no others."""
    for variable in variables:
        _compat.track(optimizer, variable)


def num_replicas() -> int:
    """One: no device sees less than the global batch."""
    return 1


def sum_over_replicas(tensors: list) -> list:
    """The tensors: there is one of each."""
    return tensors


def result_spec(function: Callable, *tensors):
    """Shape and dtype of what a function of tensors returns."""
    return jax.eval_shape(function, *tensors)


def gradients_of_all(gradients: list) -> list:
    """The gradients, which are the global batch's already."""
    return gradients


def global_norm(gradients: list):
    """The norm of all gradients together, float32."""
    squares = [ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in gradients]
    return ops.sqrt(sum(squares))


def update_variables(optimizer, finite, once: list, step: Callable, variables, *columns) -> None:
    """Takes a step, and keeps all as it was where the gradients are not finite.

    Args:
        optimizer: whose variables change too.
        finite: bool, whether they are.
        once: pairs of a variable and what it is multiplied by before any other changes.
        step: called with each variable, and its value of every column.
        variables: those that are trained.
        *columns: a value for each variable.
    """
    changing = [*optimizer.variables, *variables]
    before = [variable.value for variable in changing]
    for variable, factor in once:
        variable.assign(variable * factor)
    for variable, *values in zip(variables, *columns, strict=True):
        step(variable, *values)
    for variable, value in zip(changing, before, strict=True):
        if variable.value is not value:
            variable.assign(ops.where(finite, variable.value, value))


class GlobalBatchSteps(_compat.CountHooks, keras.Model):
    """The steps of a `ExactModel` on JAX."""

    def sync_state(self) -> None:
        """Gives variables their values, which `fit` keeps from them between two epochs."""
        self.jax_state_sync()

    # === One step ===

    def train_step(self, state, data):
        """Keras's, perhaps in microbatches."""
        accumulates = self.accumulation_steps > 1
        step = self._accumulated_step if accumulates else super().train_step
        logs, state = step(state, data)
        if self.counts_examples:
            counts, state = self._count(state, data)
            logs = {**logs, **counts}
        return logs, state

    def _count(self, state: tuple, data) -> tuple:
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        first = jax.tree.leaves(x)[0]
        mask = x.get(PADDING_MASK) if isinstance(x, dict) else None
        mask = ops.ones(first.shape) if mask is None else mask
        counts = [first.shape[0], ops.sum(ops.cast(mask, COUNTER_DTYPE)), mask.size]
        counts = ops.stack([ops.cast(count, COUNTER_DTYPE) for count in counts])
        trainable, other, optimizer_values, metrics = state
        variables, seen = self.optimizer.variables, self.optimizer.seen
        with _scope(variables, optimizer_values) as scope:
            low, high = ops.unstack(seen.value, 2, axis=1)
            low = low + counts
            high = high + ops.right_shift(low, _LOW_BITS)
            seen.assign(ops.stack([ops.bitwise_and(low, 2**_LOW_BITS - 1), high], axis=1))
            logs = dict(zip(self.counts, ops.unstack(seen.value, axis=0), strict=True))
        return logs, (trainable, other, _values(scope, variables), metrics)

    def make_train_function(self, force=False):
        """Keras's, whose counts are numbers to those who look."""
        made = self.train_function
        super().make_train_function(force)
        if self.train_function is made:
            return
        run = self.train_function

        def train_function(state, iterator):
            logs, state = run(state, iterator)
            counts = {name: _Count(logs[name]) for name in self.counts if name in logs}
            return {**logs, **counts}, state

        self.train_function = train_function

    # === Microbatches ===

    def _accumulated_step(self, state: tuple, data) -> tuple:
        trainable, other, optimizer_values, metrics = state
        batch = keras.utils.unpack_x_y_sample_weight(data)
        divisors = self._divisors(state, *batch)
        rows = jax.tree.leaves(batch)[0].shape[0]
        gradients = [ops.zeros(value.shape, value.dtype) for value in trainable]
        carried = other, metrics, gradients
        for microbatches in _microbatches(batch, rows, self.accumulation_steps):
            size = jax.tree.leaves(microbatches)[0].shape[1]
            # So that the mean of the losses, weighted by rows, is the loss of the batch.
            self.set_global_batch(divisors, rows / size)

            def add(carried, microbatch):
                other, metrics, gradients = carried
                logs, found, other, metrics = self._gradients(
                    (trainable, other, optimizer_values, metrics), microbatch
                )
                gradients = [a + b for a, b in zip(gradients, found, strict=True)]
                return (other, metrics, gradients), logs

            carried, logs = jax.lax.scan(add, carried, microbatches)
        self.set_global_batch(None, 1)
        other, metrics, gradients = carried
        trainable, optimizer_values = self.optimizer.stateless_apply(
            optimizer_values, gradients, trainable
        )
        logs = {name: value[-1] for name, value in logs.items()}
        return logs, (trainable, other, optimizer_values, metrics)

    def _gradients(self, state: tuple, microbatch: tuple) -> tuple:
        """Metrics with a microbatch, its part of the gradient, and the state after it."""
        trainable, other, optimizer_values, metrics = state
        losses = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (_, aux), gradients = losses(
            trainable,
            other,
            metrics,
            *microbatch,
            training=True,
            optimizer_variables=optimizer_values,
        )
        loss, y_pred, other, metrics = aux
        x, y, sample_weight = microbatch
        logs, metrics = _compat.update_metrics(self, metrics, loss, x, y, y_pred, sample_weight)
        return logs, gradients, other, metrics

    def _divisors(self, state: tuple, x, y, sample_weight) -> list:
        """What each loss of the whole batch is to be divided by."""

        def outputs(trainable, other):
            outputs, _, losses = self.stateless_call(
                trainable, other, x, training=True, return_losses=True
            )
            self.check_layer_losses(losses)
            return outputs

        # Only of what kind the outputs are matters.
        return self.loss_divisors(y, jax.eval_shape(outputs, *state[:2]), sample_weight)


def _scope(variables, values):
    return keras.StatelessScope(list(zip(variables, values, strict=True)))


def _values(scope, variables) -> list:
    return [scope.get_current_value(variable) for variable in variables]


def _microbatches(batch, rows: int, count: int):
    """A batch in nearly equal microbatches: those of one size together, (microbatches, rows, ...).

    A microbatch takes rows from all over the batch, so that every device has some of each.
    """
    size, longer = divmod(rows, count)
    end = longer * (size + 1)
    for first, last, number in ((0, end, longer), (end, rows, count - longer)):
        if last > first:

            def cut(x, first=first, last=last, number=number):
                x = ops.reshape(x[first:last], (-1, number, *x.shape[1:]))
                return _shared_out(ops.moveaxis(x, 1, 0))

            yield jax.tree.map(cut, batch)


def _shared_out(x):
    """Microbatches, each among all devices, or whole on every device if it can't be divided.

    Where XLA was left to choose, 3 rows among 4 copies of a model on 2 devices each gave token 0
    another vector than one device does; all other numbers of devices agreed.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return x
    is_even = x.shape[1] % distribution.num_model_replicas == 0
    axes = (None, distribution.batch_dim_name if is_even else None, *(None for _ in x.shape[2:]))
    layout = keras.distribution.TensorLayout(axes, distribution.device_mesh)
    return keras.distribution.distribute_tensor(x, layout)


class _Count:
    """A number that a device holds in two parts; whoever asks for it waits for the device."""

    def __init__(self, parts):
        self.parts = parts

    def __int__(self):
        low, high = np.asarray(self.parts)
        return (int(high) << _LOW_BITS) + int(low)

    __index__ = __int__

    def __float__(self):
        return float(int(self))
