"""Optimizers that add up gradients over replicas first, and skip steps that are not finite.

Keras on TensorFlow clips gradients before they are summed, and one that is not finite ends a run.
"""

import types

import keras
import tensorflow as tf

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.options import LARGEST_FLOAT, is_finite
from kerasbert.training.optimizers import assign_averages, updates

#: What a run counts: rows, real tokens, and places for tokens, padding included.
SEEN = ("examples", "tokens", "positions")


def patch_optimizer(
    optimizer: keras.optimizers.Optimizer, *, float16: bool = False
) -> keras.optimizers.Optimizer:
    """Makes an optimizer sum gradients over replicas first, and skip steps that are not finite.

    Args:
        optimizer: any of Keras's; changed in place.
        float16: multiply the loss while gradients are computed, so that small ones don't vanish
            (Micikevicius et al. 2018, §3.2). The factor halves when a gradient is not finite on any
            replica, and doubles after 2,000 steps.

    Returns:
        The optimizer; its `skipped_steps` and `skipped_in_a_row` count.

    Raises:
        InputError: it accumulates gradients or scales losses itself, or overwrites weights with
            their average, which Keras does wrongly under a strategy; it has steps of its own
            that are not known here; or a number of it is not finite.
    """
    check_numbers(optimizer)
    for option in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
        if getattr(optimizer, option, None):
            raise InputError(
                f"an optimizer with {option} is not exact under a strategy; leave it out"
                + ("; compile(accumulation_steps=...) is" if "accumulation" in option else "")
            )
    _check_hooks(optimizer)
    if not hasattr(optimizer, "skipped_steps"):  # it may be compiled again
        with _compat.strategy_of(optimizer).scope():
            # Steps that were skipped, in all and since the last that was not.
            optimizer.skipped_steps, optimizer.skipped_in_a_row = (_counter() for _ in range(2))
            optimizer.loss_scale = _LossScale() if float16 else None
            #: Examples, real tokens and places for tokens, over the whole run; if they are counted.
            optimizer.seen = _counter((len(SEEN),))
    if optimizer.loss_scale:
        optimizer.scale_loss = optimizer.loss_scale.scale
    if not hasattr(optimizer, "rate_factors"):
        #: Factors of the learning rate by the path of a variable, where it is not 1.
        optimizer.rate_factors = {}
    _compat.replace_apply(optimizer, types.MethodType(_apply_gradients, optimizer))
    #: Whether `fit` leaves weights where there are moving averages, see `fits_keep_weights`.
    optimizer.keeps_weights = False
    optimizer.finalize_variable_values = types.MethodType(_finalize, optimizer)
    return optimizer


def check_numbers(optimizer: keras.optimizers.Optimizer) -> None:
    """Raises `InputError` if a number of an optimizer is not finite in 32 bits.

    One step with it would make weights NaN, though every gradient is finite.
    """
    numbers = {name: value for name, value in vars(optimizer).items() if isinstance(value, float)}
    if isinstance(rate := _compat.given_rate(optimizer), keras.Variable):  # or it changes
        numbers["learning_rate"] = float(rate.numpy())
    for name, value in numbers.items():
        if not is_finite(value):
            none = "; None means no limit" if "clip" in name else ""
            raise InputError(
                f"{type(optimizer).__name__}: {name} must be a finite number, {LARGEST_FLOAT} at "
                f"the most, found {value}{none}"
            )


# Two of Keras's optimizers do something in their own way and are followed here.
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
    """What Keras's `fit` does at its end; variable by variable, where Keras goes by their order."""
    if not optimizer.keeps_weights:
        assign_averages(optimizer, variables)


def _counter(shape=()) -> keras.Variable:
    # TensorFlow keeps int32 variables in the host's memory, where a step that XLA compiles for a
    # GPU does not reach them.
    zeros = keras.ops.zeros(shape, "int64")
    return keras.Variable(zeros, trainable=False, aggregation="only_first_replica")


class _LossScale:
    """The factor of the loss in float16."""

    _DOUBLES_AFTER = 2_000

    def __init__(self):
        self.factor = keras.Variable(2.0**15, trainable=False, aggregation="only_first_replica")
        self.good_steps = _counter()

    def scale(self, loss):
        """The loss that gradients are taken of."""
        return loss * keras.ops.cast(self.factor, loss.dtype)

    def update(self, finite) -> None:
        """Looks at whether the gradient of all replicas together was finite."""
        good = (self.good_steps + 1) * tf.cast(finite, tf.int64)
        double = good >= self._DOUBLES_AFTER
        factor = tf.where(finite, tf.where(double, 2.0, 1.0), 0.5) * self.factor
        self.factor.assign(tf.clip_by_value(factor, 1.0, 2.0**24))
        self.good_steps.assign(tf.where(double, tf.zeros_like(good), good))


def _apply_gradients(optimizer, gradients, variables) -> None:
    strategy = _compat.strategy_of(optimizer)
    factors = [optimizer.rate_factors.get(v.path, 1.0) for v in variables]
    decays = [_weight_decay(optimizer, v) for v in variables]
    variables = [v.value if isinstance(v, keras.Variable) else v for v in variables]
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    if strategy.num_replicas_in_sync > 1:
        gradients = tf.distribute.get_replica_context().all_reduce("SUM", gradients)
    # Weights may be of different dtypes, and half precision has no room for squares.
    norm = tf.linalg.global_norm([tf.cast(gradient, tf.float32) for gradient in gradients])
    finite = tf.math.is_finite(norm)
    skipped = tf.cast(~finite, tf.int64)
    hopeless = skipped
    if optimizer.loss_scale:
        # A smaller factor may help.
        hopeless *= tf.cast(optimizer.loss_scale.factor <= 1.0, tf.int64)
        norm /= optimizer.loss_scale.factor
        gradients = [gradient / optimizer.loss_scale.factor for gradient in gradients]
        optimizer.loss_scale.update(finite)
    optimizer.skipped_steps.assign_add(skipped)
    optimizer.skipped_in_a_row.assign((optimizer.skipped_in_a_row + hopeless) * skipped)
    if optimizer.global_clipnorm:
        gradients, _ = tf.clip_by_global_norm(gradients, optimizer.global_clipnorm, norm)
    else:
        gradients = _compat.clipped(optimizer, gradients)
    # Averages begin as 0, so the first step that is not skipped sets them.
    first = tf.cast(updates(optimizer) == 0, tf.float32)
    momentum = (1 - first) * (optimizer.ema_momentum if optimizer.use_ema else 0.0)
    rate = optimizer.learning_rate

    def step(variable, gradient, average, factor, decay, rate, momentum):
        rate *= factor
        if decay is not None:
            variable.assign_sub(variable * decay * tf.cast(rate, variable.dtype))
        optimizer.update_step(gradient, variable, rate)
        if average is not None:
            kept = tf.cast(momentum, average.dtype)
            average.assign(kept * average + (1 - kept) * variable)

    def update(strategy, positions, finite, rate, momentum):
        def take():
            _before_step(optimizer, strategy)
            for variable, *own in positions:
                arguments = (*own, rate, momentum)
                strategy.extended.update(variable, step, args=arguments, group=False)
            return True

        # One condition for all: one for each would take most of the time of making the graph. All
        # replicas have seen the same gradients.
        tf.cond(strategy.experimental_local_results(finite)[0], take, lambda: False)

    averages = _averages(optimizer, variables)
    positions = list(zip(variables, gradients, averages, factors, decays, strict=True))
    _compat.merge_call(update, strategy, positions, finite, rate, momentum)


def _averages(optimizer, variables) -> list:
    """The moving average of each variable, or None."""
    if not optimizer.use_ema:
        return [None] * len(variables)
    return [_compat.average_of(optimizer, variable).value for variable in variables]


def _weight_decay(optimizer, variable) -> float | None:
    """What a variable loses at each step, as a share of it, times the rate; None: nothing."""
    decay = optimizer.weight_decay
    if isinstance(optimizer, keras.optimizers.Muon) and _compat.takes_adamw(optimizer, variable):
        decay = optimizer.adam_weight_decay
    return decay if _compat.is_decayed(optimizer, variable) else None


def _before_step(optimizer, strategy) -> None:
    """What Keras does once for all variables, before it changes the first."""
    if isinstance(optimizer, keras.optimizers.Nadam):
        product = _compat.momentum_product(optimizer).value
        step = tf.cast(updates(optimizer) + 1, product.dtype)
        factor = optimizer.beta_1 * (1.0 - 0.5 * 0.96**step)
        strategy.extended.update(product, lambda v, x: v.assign(v * x), args=(factor,), group=False)
