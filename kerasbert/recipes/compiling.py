"""Compiling a task for a run: its optimizer, its learning-rate schedule, and XLA."""

from collections.abc import Sequence
from typing import Any

from kerasbert.errors import InputError
from kerasbert.layers import backends
from kerasbert.recipes.options import TrainingOptions
from kerasbert.training.optimizers import OPTIMIZERS
from kerasbert.training.schedules import make_schedule
from kerasbert.training.steps import ON_TENSORFLOW


def compile_for(
    options: TrainingOptions,
    model: Any,
    steps: int,
    *,
    report_every: int,
    shapes: int = 1,
    ends: Sequence[int] = (),
    **kwargs: Any,
) -> None:
    """Compiles a task for a run; to be called in the scope of the strategy.

    Args:
        options: options of the run.
        model: task to compile.
        steps: total number of training steps.
        report_every: evaluation interval, in steps.
        shapes: number of different batch shapes if XLA compiles the steps.
        ends: more steps after which Python has something to do.
        **kwargs: as in the task's `compile`.
    """
    model.freeze(options.freeze_layers, options.freeze)
    model.backbone.gradient_checkpointing = options.gradient_checkpointing
    optimizer = OPTIMIZERS[options.optimizer](
        schedule_of(options, steps),
        weight_decay=options.weight_decay,
        clip_norm=options.clip_norm or None,
        ema=options.ema_momentum,
        beta_1=options.beta_1,
        beta_2=options.beta_2,
        epsilon=options.epsilon,
    )
    model.compile(
        optimizer,
        layer_decay=options.layerwise_lr_decay,
        accumulation_steps=options.accumulation_steps,
        steps_per_execution=options.steps_per_execution
        or backends.steps_per_execution(steps, report_every, options.checkpoint_every_steps, *ends),
        **_compiled(options, model, steps, shapes),
        **kwargs,
    )


def schedule_of(options: TrainingOptions, steps: int) -> Any:
    """Returns the learning-rate schedule of a run of so many steps."""
    warmup = options.warmup_steps
    if warmup is None:
        warmup = round(options.warmup_ratio * steps)
    elif warmup >= steps:
        raise InputError(f"--warmup_steps={warmup} must be less than the {steps} steps")
    return make_schedule(
        options.lr_schedule,
        options.learning_rate,
        steps,
        warmup,
        steps - options.steps_before_decay(steps),
    )


def _compiled(options: TrainingOptions, model, steps: int, shapes: int) -> dict:
    """Returns the argument `jit_compile` of Keras's `compile`, or nothing for its default."""
    if options.jit_compile != "auto":
        return {"jit_compile": options.jit_compile == "true"}
    if not ON_TENSORFLOW:
        return {}  # on JAX steps are always compiled
    # Steps of several replicas can't be compiled, and those of a TPU always are.
    one_replica = model.distribute_strategy.num_replicas_in_sync == 1
    can_be = one_replica and options.strategy in ("none", "mirrored")
    return {"jit_compile": can_be and backends.compiles_steps(steps, shapes)}
