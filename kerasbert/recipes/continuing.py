"""Pretraining that continues another run: with more steps, other data or other settings."""

import dataclasses
import pathlib

import numpy as np

from kerasbert.errors import InputError
from kerasbert.recipes.compiling import schedule_of
from kerasbert.recipes.options import PretrainOptions
from kerasbert.training.stored_checkpoint import StoredCheckpoint, read_checkpoint

_SCHEDULE = (
    "learning_rate",
    "lr_schedule",
    "lr_decay_ratio",
    "warmup_ratio",
    "warmup_steps",
    "steps",
)
_MOST_COMPARED = 10_000  # steps


def step_before_decay(options: PretrainOptions) -> int:
    """Returns the step from which a run with more steps can continue; 0: its schedule has none."""
    if not options.lr_schedule.startswith("wsd"):
        return 0
    return options.steps_before_decay(options.steps)


def checkpoint_to_continue(options: PretrainOptions) -> StoredCheckpoint | None:
    """Returns the checkpoint of `continue_from`, or None.

    The other run may have had other data, batches and numbers of steps. If it had none of these,
    the result is that of a run which was never interrupted.

    Raises:
        InputError: there is no such checkpoint, it is of a later step than this run's last, or the
            learning rate was another one.
    """
    if options.continue_from is None:
        return None
    stored = read_checkpoint(pathlib.Path(options.continue_from))
    if stored.step >= options.steps:
        raise InputError(
            f"{stored.path}: is of step {stored.step}; give more --steps than that, found "
            f"{options.steps}"
        )
    then = options.upgraded(stored.settings)
    before = dataclasses.replace(
        options, phase=[], continue_from=None, **{name: then[name] for name in _SCHEDULE}
    )
    steps = np.linspace(0, stored.step - 1, min(stored.step, _MOST_COMPARED)).astype("int64")
    old, new = (
        np.broadcast_to(np.asarray(schedule_of(one, one.steps)(steps)), steps.shape)
        for one in (before, options)
    )
    if not np.array_equal(old, new):
        at = int(np.argmax(old != new))
        raise InputError(
            f"{stored.path}: its learning rate was {old[at]:g} at step {steps[at]}, and would be "
            f"{new[at]:g} here; continue a run with --lr_schedule=wsd from before its decay, with "
            "the same --learning_rate and --warmup_steps"
        )
    return stored
