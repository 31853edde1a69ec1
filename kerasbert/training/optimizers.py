"""BERT's optimizer and learning-rate schedule."""

import keras
from keras import ops

#: Variables, by the last part of their path, that weight decay leaves alone (google-research/bert,
#: `optimization.create_optimizer`): biases and LayerNorm.
NOT_DECAYED = ("bias", "gamma", "beta")


@keras.saving.register_keras_serializable("kerasbert")
class WarmupLinear(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0 to `peak`, then falls linearly to 0 (BERT, appendix A.2).

    Args:
        peak: the highest learning rate.
        steps: steps of the whole run.
        warmup_steps: steps until `peak`.
    """

    def __init__(self, peak: float, steps: int, warmup_steps: int = 0):
        self.peak = peak
        self.steps = steps
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rising = (step + 1) / max(1, self.warmup_steps)
        falling = (self.steps - step) / max(1, self.steps - self.warmup_steps)
        return self.peak * ops.clip(ops.minimum(rising, falling), 0.0, 1.0)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps, "warmup_steps": self.warmup_steps}


def adamw(
    learning_rate, *, weight_decay: float = 0.01, clip_norm: float | None = 1.0
) -> keras.optimizers.AdamW:
    """AdamW as BERT uses it (epsilon 1e-6, decay 0.01 but not on biases and LayerNorm, clipping).

    Args:
        learning_rate: a number or a schedule.
        weight_decay: decoupled decay per step, times the learning rate.
        clip_norm: limit of the gradients' global norm; None: no limit.
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate,
        weight_decay=weight_decay,
        epsilon=1e-6,
        global_clipnorm=clip_norm,
    )
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer
