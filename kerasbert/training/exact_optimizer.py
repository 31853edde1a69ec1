"""Optimizers that sum gradients over replicas before clipping, and skip steps that are not finite.

Keras on TensorFlow clips gradients before it sums them, and applies gradients that are not finite.
"""

import types

import keras
from keras import ops

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.options import LARGEST_FLOAT, is_finite
from kerasbert.training.optimizers import assign_averages, updates
from kerasbert.training.steps import backend

#: Counts of a run: rows, unpadded tokens, and positions including padding.
SEEN = ("examples", "tokens", "positions")


def patch_optimizer(
    optimizer: keras.optimizers.Optimizer, *, float16: bool = False
) -> keras.optimizers.Optimizer:
    """Makes an optimizer sum gradients over replicas first, and skip steps that are not finite.

    Args:
        optimizer: Keras optimizer; changed in place.
        float16: whether to scale the loss, so that small gradients don't underflow in float16
            (Micikevicius et al. 2018, §3.2). The scale halves when a gradient is not finite on any
            replica, and doubles after 2,000 consecutive finite steps.

    Returns:
        The optimizer, with the counters `skipped_steps` and `skipped_in_a_row`.

    Raises:
        InputError: the optimizer accumulates gradients, scales losses or overwrites weights with
            their moving averages, which is not exact under a strategy; it overrides one of
            `_compat.OPTIMIZER_HOOKS`; or one of its numbers is not finite.
    """
    check_numbers(optimizer)
    for option in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
        if getattr(optimizer, option, None):
            raise InputError(
                f"an optimizer with {option} is not exact under a strategy; leave it out"
                + ("; compile(accumulation_steps=...) is" if "accumulation" in option else "")
            )
    _check_hooks(optimizer)
    if not hasattr(optimizer, "skipped_steps"):  # the optimizer may be compiled again
        with backend.counter_scope(optimizer):
            # Skipped steps: in total, and consecutive ones up to now.
            optimizer.skipped_steps, optimizer.skipped_in_a_row = (_counter() for _ in range(2))
            optimizer.loss_scale = _LossScale() if float16 else None
            if float16:
                backend.keep_with(optimizer, optimizer.loss_scale.variables)
            #: Counts of `SEEN` over the whole run, if `counts_examples` is set.
            optimizer.seen = _counter((len(SEEN), *backend.LONG_SHAPE))
    if optimizer.loss_scale:
        optimizer.scale_loss = optimizer.loss_scale.scale
    if not hasattr(optimizer, "rate_factors"):
        #: Learning rate multipliers by variable path, for variables whose multiplier is not 1.
        optimizer.rate_factors = {}
    _compat.replace_apply(optimizer, types.MethodType(_apply_gradients, optimizer))
    #: Whether weights are not replaced by moving averages after `fit`, see `fits_keep_weights`.
    optimizer.keeps_weights = False
    optimizer.finalize_variable_values = types.MethodType(_finalize, optimizer)
    return optimizer


def check_numbers(optimizer: keras.optimizers.Optimizer) -> None:
    """Raises `InputError` if a number of an optimizer is not finite in float32.

    One step with it would make weights NaN, even if every gradient is finite.
    """
    numbers = {name: value for name, value in vars(optimizer).items() if isinstance(value, float)}
    if isinstance(rate := _compat.given_rate(optimizer), keras.Variable):  # not a schedule
        numbers["learning_rate"] = float(rate.numpy())
    for name, value in numbers.items():
        if not is_finite(value):
            none = "; None means no limit" if "clip" in name else ""
            raise InputError(
                f"{type(optimizer).__name__}: {name} must be a finite number, {LARGEST_FLOAT} at "
                f"the most, found {value}{none}"
            )


# Optimizers of Keras with hooks of their own that are reproduced here.
_FOLLOWED = (keras.optimizers.Nadam, keras.optimizers.Muon)
_NOT_FOLLOWED = {
    keras.optimizers.LossScaleOptimizer: "leave it out: in float16, compile scales the loss itself",
    keras.optimizers.MultiOptimizer: "take one optimizer, such as with compile(layer_decay=...)",
}


def _check_hooks(optimizer) -> None:
    for kind, advice in _NOT_FOLLOWED.items():
        if isinstance(optimizer, kind):
            raise InputError(f"{kind.__name__} is not exact under a strategy; {advice}")
    kind = next((k for k in _FOLLOWED if isinstance(optimizer, k)), keras.optimizers.SGD)
    for hook in _compat.OPTIMIZER_HOOKS:
        if getattr(type(optimizer), hook) is not getattr(kind, hook):
            raise InputError(
                f"{type(optimizer).__name__} changes Keras's {hook}, which is not exact under a "
                "strategy; what it does there belongs into update_step"
            )


def _finalize(optimizer, variables) -> None:
    """Replaces weights by their moving averages at the end of `fit`, as Keras does.

    Averages are looked up by variable, because Keras matches them by their order.
    """
    if not optimizer.keeps_weights:
        assign_averages(optimizer, variables)


def _counter(shape=()) -> keras.Variable:
    zeros = ops.zeros(shape, backend.COUNTER_DTYPE)
    return keras.Variable(zeros, trainable=False, aggregation="only_first_replica")


class _LossScale:
    """The dynamic loss scale of float16."""

    _DOUBLES_AFTER = 2_000

    def __init__(self):
        self.factor = keras.Variable(2.0**15, trainable=False, aggregation="only_first_replica")
        self.good_steps = _counter()

    @property
    def variables(self) -> list:
        """The variables of the loss scale."""
        return [self.factor, self.good_steps]

    def scale(self, loss):
        """Returns the loss multiplied by the scale."""
        return loss * ops.cast(self.factor, loss.dtype)

    def update(self, finite) -> None:
        """Updates the scale.

        Args:
            finite: whether the gradient summed over replicas is finite, bool scalar.
        """
        good = (self.good_steps + 1) * ops.cast(finite, self.good_steps.dtype)
        double = good >= self._DOUBLES_AFTER
        factor = ops.where(finite, ops.where(double, 2.0, 1.0), 0.5) * self.factor
        self.factor.assign(ops.clip(factor, 1.0, 2.0**24))
        self.good_steps.assign(ops.where(double, ops.zeros_like(good), good))


def _apply_gradients(optimizer, gradients, variables) -> None:
    gradients = backend.gradients_of_all(gradients)
    norm = backend.global_norm(gradients)
    finite = ops.isfinite(norm)
    if optimizer.loss_scale:
        factor = ops.convert_to_tensor(optimizer.loss_scale.factor)
        norm /= factor
        # In float32: the factor may be too large for float16.
        gradients = [ops.cast(ops.divide(one, factor), one.dtype) for one in gradients]
    _count_skipped(optimizer, finite)
    if optimizer.global_clipnorm:
        gradients = _clipped(gradients, norm, optimizer.global_clipnorm)
    else:
        gradients = _compat.clipped(optimizer, gradients)
    # Averages start as 0, so the first step that is not skipped assigns them.
    first = ops.cast(ops.equal(updates(optimizer), 0), "float32")
    momentum = (1 - first) * (optimizer.ema_momentum if optimizer.use_ema else 0.0)
    rate = optimizer.learning_rate

    def step(variable, gradient, average, factor, decay, rate, momentum):
        rate = rate * factor  # a factor may be a variable
        if decay is not None:
            optimizer.assign_sub(variable, variable * decay * ops.cast(rate, variable.dtype))
        optimizer.update_step(gradient, variable, rate)
        if average is not None:
            kept = ops.cast(momentum, average.dtype)
            optimizer.assign(average, kept * average + (1 - kept) * variable)

    count = len(variables)
    backend.update_variables(
        optimizer,
        finite,
        _multiplied_once(optimizer),
        step,
        variables,
        gradients,
        _averages(optimizer, variables),
        [optimizer.rate_factors.get(v.path, 1.0) for v in variables],
        [_weight_decay(optimizer, v) for v in variables],
        [rate] * count,
        [momentum] * count,
    )


def _count_skipped(optimizer, finite) -> None:
    skipped = ops.cast(ops.logical_not(finite), backend.COUNTER_DTYPE)
    hopeless = skipped
    if optimizer.loss_scale:
        # Steps that a smaller loss scale may make finite do not count as consecutive.
        hopeless *= ops.cast(optimizer.loss_scale.factor <= 1.0, hopeless.dtype)
        optimizer.loss_scale.update(finite)
    optimizer.skipped_steps.assign_add(skipped)
    optimizer.skipped_in_a_row.assign((optimizer.skipped_in_a_row + hopeless) * skipped)


def _clipped(gradients: list, norm, limit: float) -> list:
    """Returns gradients scaled so that their global norm is at most `limit`."""
    scale = limit * ops.minimum(1.0 / norm, 1.0 / limit)
    return [gradient * ops.cast(scale, gradient.dtype) for gradient in gradients]


def _averages(optimizer, variables) -> list:
    """Returns the moving average of each variable; None for each if there are none."""
    if not optimizer.use_ema:
        return [None] * len(variables)
    return [_compat.average_of(optimizer, variable) for variable in variables]


def _weight_decay(optimizer, variable) -> float | None:
    """Returns the variable's weight decay (multiplied by the learning rate); None: not decayed."""
    decay = optimizer.weight_decay
    if isinstance(optimizer, keras.optimizers.Muon) and _compat.takes_adamw(optimizer, variable):
        decay = optimizer.adam_weight_decay
    return decay if _compat.is_decayed(optimizer, variable) else None


def _multiplied_once(optimizer) -> list:
    """Returns (variable, factor) pairs to multiply once per step before the update.

    Only Nadam has one, its momentum product.
    """
    if not isinstance(optimizer, keras.optimizers.Nadam):
        return []
    product = _compat.momentum_product(optimizer)
    step = ops.cast(updates(optimizer) + 1, product.dtype)
    return [(product, optimizer.beta_1 * (1.0 - 0.5 * 0.96**step))]
