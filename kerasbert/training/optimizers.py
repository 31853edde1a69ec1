"""Optimizers for BERT and its family."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from kerasbert import _compat

#: Names in the paths of variables without weight decay: biases and LayerNorm (google-research/bert,
#: `optimization.create_optimizer`).
NOT_DECAYED = ("bias", "gamma", "beta")


def adamw(
    learning_rate: Any,
    *,
    weight_decay: float = 0.01,
    clip_norm: float | None = 1.0,
    ema: float | None = None,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-6,
) -> "AdamW":
    """Returns AdamW as BERT uses it: epsilon 1e-6, no weight decay of biases and LayerNorm.

    Args:
        learning_rate: number or schedule.
        weight_decay: decoupled weight decay, multiplied by the learning rate.
        clip_norm: maximal global norm of the gradients; None: no clipping.
        ema: momentum of the exponential moving average of the weights; None: no average.
        beta_1: decay rate of the mean of the gradients.
        beta_2: decay rate of the mean of their squares.
        epsilon: number added to the root of that mean.

    Returns:
        `AdamW`.

    Examples:
        >>> import kerasbert
        >>> optimizer = kerasbert.training.adamw(5e-5)
        >>> optimizer.weight_decay, optimizer.global_clipnorm
        (0.01, 1.0)
        >>> schedule = kerasbert.training.Warmup(5e-5, steps=1000, warmup_steps=100)
        >>> optimizer = kerasbert.training.adamw(schedule, ema=0.999)

        It is the first argument of `compile`: `model.compile(optimizer)`.
    """
    return AdamW(
        learning_rate,
        weight_decay=weight_decay,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
        global_clipnorm=clip_norm,
        not_decayed=NOT_DECAYED,
        **_averaging(ema),
    )


def lamb(
    learning_rate: Any,
    *,
    weight_decay: float = 0.01,
    clip_norm: float | None = 1.0,
    ema: float | None = None,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-6,
) -> "LAMB":
    """Returns LAMB, an optimizer for large batches, as BERT uses it.

    Args:
        learning_rate: number or schedule.
        weight_decay: weight decay, a part of the update.
        clip_norm: maximal global norm of the gradients; None: no clipping.
        ema: momentum of the exponential moving average of the weights; None: no average.
        beta_1: decay rate of the mean of the gradients.
        beta_2: decay rate of the mean of their squares.
        epsilon: number added to the root of that mean.

    Returns:
        `LAMB`.

    Examples:
        >>> import kerasbert
        >>> optimizer = kerasbert.training.lamb(1e-3)
        >>> optimizer.lamb_decay, optimizer.global_clipnorm
        (0.01, 1.0)
    """
    return LAMB(
        learning_rate,
        lamb_decay=weight_decay,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
        global_clipnorm=clip_norm,
        not_decayed=NOT_DECAYED,
        **_averaging(ema),
    )


OPTIMIZERS = {"adamw": adamw, "lamb": lamb}


def _averaging(momentum: float | None) -> dict:
    return {} if momentum is None else {"use_ema": True, "ema_momentum": momentum}


def updates(optimizer: keras.optimizers.Optimizer) -> Any:
    """Returns the number of updates of the weights: steps without those that were skipped."""
    skipped = getattr(optimizer, "skipped_steps", 0)  # see `patch_optimizer`
    iterations: Any = optimizer.iterations
    return iterations - ops.cast(skipped, iterations.dtype)


def assign_averages(optimizer: keras.optimizers.Optimizer, variables: Sequence[Any]) -> None:
    """Assigns variables their moving averages, if the optimizer has them."""
    if not optimizer.use_ema or int(updates(optimizer)) == 0:
        return  # averages are 0 before the first update
    for variable in variables:
        variable.assign(_compat.average_of(optimizer, variable).numpy())


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Replaces a model's weights by their moving averages in a context, if there are averages.

    `fit` of a task leaves a model with its averages at the end; this is for evaluations in between.

    Args:
        model: compiled model.

    Yields:
        None.

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=100)
        >>> model = kerasbert.TextClassifier(kerasbert.Backbone(config), 2)
        >>> model.compile(kerasbert.training.adamw(5e-5, ema=0.99))
        >>> with kerasbert.training.averaged_weights(model):
        ...     logits = model.predict({"token_ids": np.array([[2, 7, 3]])}, verbose=0)
        >>> logits.shape
        (1, 2)
    """
    weights = model.trainable_variables
    before = [variable.numpy() for variable in weights]
    assign_averages(model.optimizer, weights)
    try:
        yield
    finally:
        for variable, value in zip(weights, before, strict=True):
            variable.assign(value)


@contextlib.contextmanager
def fits_keep_weights(model: keras.Model) -> Iterator[None]:
    """Keeps `fit` from replacing the weights by their moving averages in a context.

    For training an `ExactModel` with several calls of `fit`.
    """
    model.optimizer.keeps_weights = True
    try:
        yield
    finally:
        model.optimizer.keeps_weights = False


if TYPE_CHECKING:
    _Optimizer = keras.optimizers.Optimizer
else:
    _Optimizer = object  # the class after the mixin is one


class _NotDecayed(_Optimizer):
    """Stores the names excluded from weight decay in the config, which Keras does not."""

    def __init__(self, *args, not_decayed: Sequence[str] = (), **kwargs):
        super().__init__(*args, **kwargs)
        self.not_decayed = list(not_decayed)
        if self.not_decayed:
            self.exclude_from_weight_decay(var_names=self.not_decayed)

    def get_config(self):
        """Returns the config, with `not_decayed`."""
        return {**super().get_config(), "not_decayed": self.not_decayed}


@keras.saving.register_keras_serializable("kerasbert")
class AdamW(_NotDecayed, keras.optimizers.AdamW):
    """Keras's AdamW, whose bias correction does not count skipped steps.

    On TensorFlow the update makes one pass over a variable, where Keras's makes ten. `adamw` makes
    one with BERT's settings.

    Examples:
        >>> import kerasbert
        >>> optimizer = kerasbert.training.AdamW(5e-5, weight_decay=0.01, not_decayed=["bias"])
        >>> optimizer.not_decayed
        ['bias']

    Args:
        *args: as in Keras.
        not_decayed: names of variables without weight decay, as in Keras's
            `exclude_from_weight_decay(var_names=...)`.
        **kwargs: as in Keras.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable, as Keras asks for.

        Args:
            gradient: gradient of the variable.
            variable: the variable.
            learning_rate: learning rate of this step.
        """
        if self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        moments = _compat.moments_of(self, variable)
        if keras.backend.backend() == "tensorflow":
            self._update_on_tensorflow(gradient, variable, moments, learning_rate)
            return
        dtype = variable.dtype
        gradient, rate = ops.cast(gradient, dtype), ops.cast(learning_rate, dtype)
        step = ops.cast(updates(self) + 1, dtype)
        first, second = moments
        self.assign_add(first, (gradient - first) * (1 - self.beta_1))
        self.assign_add(second, (ops.square(gradient) - second) * (1 - self.beta_2))
        rate *= ops.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        self.assign_sub(variable, first * rate / (ops.sqrt(second) + self.epsilon))

    def _update_on_tensorflow(self, gradient, variable, moments, learning_rate) -> None:
        import tensorflow as tf  # not required by other backends

        dtype = variable.dtype
        step = tf.cast(updates(self) + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=moments[0].value.handle,
            v=moments[1].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, dtype), step),
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


@keras.saving.register_keras_serializable("kerasbert")
class LAMB(_NotDecayed, keras.optimizers.Optimizer):
    """LAMB (You et al. 2020, algorithm 2), with bias correction.

    Unlike in Keras's Lamb, weight decay is part of the update whose norm is in the trust ratio, and
    variables that are not decayed (biases, LayerNorm) have no trust ratio, as in the authors' code.
    `lamb` makes one with BERT's settings.

    Examples:
        >>> import kerasbert
        >>> optimizer = kerasbert.training.LAMB(1e-3, not_decayed=["bias", "gamma", "beta"])
        >>> optimizer.get_config()["lamb_decay"]
        0.01

    Args:
        learning_rate: number or schedule.
        lamb_decay: weight decay.
        beta_1: decay rate of the first moment.
        beta_2: decay rate of the second moment.
        epsilon: number added to the square root of the second moment.
        name: name of the optimizer.
        **kwargs: as in Keras's optimizers, and `not_decayed` as in `AdamW`.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        lamb_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        name: str = "lamb",
        **kwargs: Any,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.lamb_decay = lamb_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables: Any) -> None:
        """Creates both moments of every variable.

        Args:
            variables: list of the variables.
        """
        if self.built:
            return
        super().build(variables)
        self._first = [self.add_variable_from_reference(v, name="momentum") for v in variables]
        self._second = [self.add_variable_from_reference(v, name="velocity") for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable, as Keras asks for.

        Args:
            gradient: gradient of the variable.
            variable: the variable.
            learning_rate: learning rate of this step.
        """
        gradient = ops.cast(ops.convert_to_tensor(gradient), variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        step = ops.cast(updates(self) + 1, variable.dtype)
        position = _compat.place_of(self, variable)
        first, second = self._first[position], self._second[position]
        self.assign_add(first, (gradient - first) * (1 - self.beta_1))
        self.assign_add(second, (ops.square(gradient) - second) * (1 - self.beta_2))
        first = first / (1 - ops.power(ops.cast(self.beta_1, variable.dtype), step))
        second = second / (1 - ops.power(ops.cast(self.beta_2, variable.dtype), step))
        update = first / (ops.sqrt(second) + self.epsilon)
        if _compat.is_decayed(self, variable):
            update = update + self.lamb_decay * variable
            weight_norm, update_norm = ops.norm(variable), ops.norm(update)
            ratio = weight_norm / ops.maximum(update_norm, 1e-30)
            update = update * ops.where((weight_norm > 0) & (update_norm > 0), ratio, 1.0)
        self.assign_sub(variable, rate * update)

    def get_config(self) -> dict[str, Any]:
        """Returns the config."""
        names = ("lamb_decay", "beta_1", "beta_2", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
