"""Learning-rate schedules for BERT and its family."""

import math
from typing import Any

import keras
from keras import ops

from kerasbert.errors import InputError
from kerasbert.options import is_finite

# Factor of the distance from floor to peak, after a fraction `t` of the decay steps.
_DECAYS = {
    "linear": lambda t, power: 1 - t,
    "cosine": lambda t, power: (1 + ops.cos(math.pi * t)) / 2,
    "polynomial": lambda t, power: (1 - t) ** power,
    "constant": lambda t, power: ops.ones_like(t),
}
DECAYS = tuple(_DECAYS)


@keras.saving.register_keras_serializable("kerasbert")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Learning-rate schedule with linear warm-up to `peak`, then decay (BERT, appendix A.2).

    Examples:
        >>> import kerasbert
        >>> schedule = kerasbert.training.Warmup(1e-3, steps=100, warmup_steps=10)
        >>> [round(float(schedule(step)), 6) for step in (0, 9, 55, 100)]
        [0.0001, 0.001, 0.0005, 0.0]

        It is the learning rate of any Keras optimizer: `kerasbert.training.adamw(schedule)`.

    Args:
        peak: highest learning rate.
        steps: total number of training steps.
        warmup_steps: number of steps in which the learning rate rises to `peak`.
        decay: "linear", "cosine", "polynomial" or "constant".
        floor: final learning rate as a fraction of `peak`.
        power: exponent of the polynomial decay.

    Raises:
        InputError: `decay` is unknown, or `peak`, `floor` or `power` is not finite.
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        warmup_steps: int = 0,
        decay: str = "linear",
        floor: float = 0.0,
        power: float = 2.0,
    ):
        if decay not in _DECAYS:
            raise InputError(f"decay must be one of {', '.join(DECAYS)}, found {decay!r}")
        _check_finite(peak=peak, floor=floor, power=power)
        self.peak = peak
        self.steps = steps
        self.warmup_steps = warmup_steps
        self.decay = decay
        self.floor = floor
        self.power = power

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate.

        Args:
            step: number of earlier steps, an integer or a scalar tensor.
        """
        step = ops.cast(step, "float32")
        rising = ops.minimum((step + 1) / max(1, self.warmup_steps), 1.0)
        past = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        left = _DECAYS[self.decay](ops.clip(past, 0.0, 1.0), self.power)
        falling = self.floor + (1 - self.floor) * left
        return self.peak * ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        names = ("peak", "steps", "warmup_steps", "decay", "floor", "power")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("kerasbert")
class WarmupStableDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to `peak`, which stays until the last steps, in which the rate decays to 0.

    Until the decay begins, the rate does not depend on the number of steps, so a run can be
    continued with more of them (MiniCPM, 2404.06395, §4).

    Examples:
        >>> import kerasbert
        >>> schedule = kerasbert.training.WarmupStableDecay(
        ...     1e-3, steps=100, warmup_steps=10, decay_steps=20
        ... )
        >>> [round(float(schedule(step)), 6) for step in (0, 9, 80, 90, 100)]
        [0.0001, 0.001, 0.001, 0.0005, 0.0]

    Args:
        peak: highest learning rate.
        steps: total number of training steps.
        warmup_steps: number of steps in which the learning rate rises to `peak`.
        decay_steps: number of steps at the end in which it falls.
        decay: "linear", or "sqrt" for one minus the square root of the fraction of the decay steps
            (Hägele et al., 2405.18392, §3).

    Raises:
        InputError: `decay` is unknown, or `peak` is not finite.
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        warmup_steps: int = 0,
        decay_steps: int = 0,
        decay: str = "linear",
    ):
        if decay not in ("linear", "sqrt"):
            raise InputError(f"decay must be linear or sqrt, found {decay!r}")
        _check_finite(peak=peak)
        self.peak = peak
        self.steps = steps
        self.warmup_steps = warmup_steps
        self.decay_steps = decay_steps
        self.decay = decay

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate.

        Args:
            step: number of earlier steps, an integer or a scalar tensor.
        """
        step = ops.cast(step, "float32")
        rising = ops.minimum((step + 1) / max(1, self.warmup_steps), 1.0)
        past = (step - (self.steps - self.decay_steps)) / max(1, self.decay_steps)
        past = ops.clip(past, 0.0, 1.0)
        falling = 1 - (ops.sqrt(past) if self.decay == "sqrt" else past)
        return self.peak * ops.minimum(rising, falling)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        names = ("peak", "steps", "warmup_steps", "decay_steps", "decay")
        return {name: getattr(self, name) for name in names}


#: The names of all schedules.
SCHEDULES = (*DECAYS, "wsd", "wsd_sqrt")


def make_schedule(
    name: str, peak: float, steps: int, warmup_steps: int, decay_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a schedule by its name.

    Args:
        name: one of `SCHEDULES`; "wsd" and "wsd_sqrt" are `WarmupStableDecay`, the others `Warmup`.
        peak: highest learning rate.
        steps: total number of training steps.
        warmup_steps: number of steps in which the learning rate rises to `peak`.
        decay_steps: see `WarmupStableDecay`; `Warmup` decays in all other steps.
    """
    if name in DECAYS:
        return Warmup(peak, steps, warmup_steps, name)
    decay = "sqrt" if name == "wsd_sqrt" else "linear"
    return WarmupStableDecay(peak, steps, warmup_steps, decay_steps, decay)


def _check_finite(**numbers: float) -> None:
    for name, value in numbers.items():
        if not is_finite(value):
            raise InputError(f"{name} must be a finite number, found {value}")
