"""Training steps on JAX; see `steps`.

A step is one program over the global batch, on any mesh: losses and gradients are those of all
devices, so nothing is summed here. A step is a pure function of its state, so a skipped step
selects the old values instead of branching.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np
from keras import ops

from kerasbert import _compat
from kerasbert.features import PADDING_MASK

_compat.share_out_any_batch()

#: JAX has no 64-bit integers unless a process enables them.
COUNTER_DTYPE = "int32"
#: Shape of a count that may exceed 31 bits: its low `_LOW_BITS` bits, and the rest.
LONG_SHAPE = (2,)
_LOW_BITS = 30


def counter_scope(optimizer: Any) -> Any:
    """Returns the scope in which counters are created: none is needed."""
    return contextlib.nullcontext()


def keep_with(optimizer: Any, variables: list[Any]) -> None:
    """Adds variables to the optimizer's, because they are part of a step's state."""
    for variable in variables:
        _compat.track(optimizer, variable)


def num_replicas() -> int:
    """Returns 1: a step computes the global batch on all devices."""
    return 1


def sum_over_replicas(tensors: list[Any]) -> list[Any]:
    """Returns the tensors unchanged: they are those of the global batch."""
    return tensors


def result_spec(function: Callable[..., Any], *tensors: Any) -> Any:
    """Returns the shape and dtype of a function's result, without computing it."""
    return jax.eval_shape(function, *tensors)


def gradients_of_all(gradients: list[Any]) -> list[Any]:
    """Returns the gradients unchanged: they are those of the global batch."""
    return gradients


def global_norm(gradients: list[Any]) -> Any:
    """Returns the global norm of the gradients, a float32 scalar."""
    squares = [ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in gradients]
    return ops.sqrt(sum(squares))


def update_variables(
    optimizer: Any,
    finite: Any,
    once: list[Any],
    step: Callable[..., Any],
    variables: Any,
    *columns: Any,
) -> None:
    """Updates the variables; keeps their values if the gradients are not finite.

    Args:
        optimizer: optimizer of the variables; `step` may change its variables too.
        finite: whether the gradients are finite, bool scalar.
        once: pairs of a variable and the factor that it is multiplied by before all updates.
        step: function that updates one variable; called with the variable and its values in
            `columns`.
        variables: trainable variables.
        *columns: lists with one value for each variable.
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


class GlobalBatchSteps(_compat.StepHooks, keras.Model):
    """The steps of an `ExactModel` on JAX."""

    def sync_state(self) -> None:
        """Assigns variables their current values, which `fit` holds outside of them."""
        self.jax_state_sync()

    # === One step ===

    def train_step(self, state: Any, data: Any) -> Any:
        """Runs one training step, in microbatches if `accumulation_steps` is more than 1."""
        accumulates = self.accumulation_steps > 1
        step = self._accumulated_step if accumulates else super().train_step
        logs, state = step(state, self._step_data(state, data))
        if self.counts_examples:
            counts, state = self._count(state, data)
            logs = {**logs, **counts}
        return logs, state

    def test_step(self, state: Any, data: Any) -> Any:
        """Runs one evaluation step."""
        return super().test_step(state, self._step_data(state, data))

    def _step_data(self, state: tuple, data):
        with _scope(self.non_trainable_variables, state[1]):
            return self.step_data(data)

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

    def make_train_function(self, force: bool = False) -> None:
        """Makes Keras's function, and wraps the counts in its logs so that they convert to int."""
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
            # With this factor the mean of the losses, weighted by rows, is the loss of the batch.
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
        """Returns logs and gradients of a microbatch, and the state after it.

        Returns:
            Tuple of logs, gradients, values of non-trainable variables, values of metrics.
        """
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
        """Returns each loss's divisor for the whole batch."""

        def outputs(trainable, other):
            called: Any = self.stateless_call(
                trainable, other, x, training=True, return_losses=True
            )
            outputs, _, losses = called
            self.check_layer_losses(losses)
            return outputs

        # Only shapes and dtypes of the outputs are used.
        return self.loss_divisors(y, jax.eval_shape(outputs, *state[:2]), sample_weight)


def _scope(variables, values):
    return keras.StatelessScope(list(zip(variables, values, strict=True)))


def _values(scope, variables) -> list:
    return [scope.get_current_value(variable) for variable in variables]


def _microbatches(batch, rows: int, count: int):
    """Yields the microbatches of each size, stacked: (microbatches, rows, ...).

    Sizes differ by at most one row. A microbatch takes rows from all over the batch, so that every
    device has rows of each.
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
    """Distributes microbatches over all devices, or replicates them if they can't be divided.

    When XLA chose the layout, 3 rows on 4 model replicas of 2 devices each gave token 0 another
    vector than on one device; all other numbers of devices agreed.
    """
    distribution = keras.distribution.distribution()
    if distribution is None:
        return x
    is_even = x.shape[1] % distribution.num_model_replicas == 0
    axes = (None, distribution.batch_dim_name if is_even else None, *(None for _ in x.shape[2:]))
    layout = keras.distribution.TensorLayout(axes, distribution.device_mesh)
    return keras.distribution.distribute_tensor(x, layout)


class _Count:
    """A count stored on a device in two parts; converting it to a number waits for the device."""

    def __init__(self, parts):
        self.parts = parts

    def __int__(self):
        low, high = np.asarray(self.parts)
        return (int(high) << _LOW_BITS) + int(low)

    __index__ = __int__

    def __float__(self):
        return float(int(self))
