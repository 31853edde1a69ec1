"""Training for a few steps, to see what a run would take."""

import itertools
import math
import time
from collections.abc import Sequence
from typing import Any

from kerasbert.training.progress import log
from kerasbert.training.strategies import prefetched, sharded

_DRY_STEPS = 5
#: Seconds to measure for at least: each call of `fit` takes some tenths of a second of its own,
#: which would count as much as six steps of a small model do.
_SECONDS = 3.0


def dry_run(model: Any, batches: Any, steps: int, boundaries: Sequence[int] = ()) -> dict[str, Any]:
    """Trains a compiled model for a few steps, to estimate the duration of the run.

    Args:
        model: compiled model.
        batches: see `kerasbert.training.loop.train`.
        steps: total number of training steps.
        boundaries: see `kerasbert.training.loop.train`.

    Returns:
        Numbers of parameters and steps, shapes of a batch, measured and estimated times; with
        boundaries, the latter for each of the `phases`.
    """
    model.summary(print_fn=_log_lines)
    phases = [
        _measured(model, batches(first), end - first, whole=not boundaries)
        for first, end in itertools.pairwise((0, *boundaries, steps))
    ]
    of_phases = phases[0]
    if boundaries:
        hours = round(sum(phase["hours"] for phase in phases), 2)
        of_phases = {"phases": phases, "steps": steps, "hours": hours}
    return {
        "parameters": model.count_params(),
        "trained_parameters": sum(math.prod(v.shape) for v in model.trainable_variables),
        **of_phases,
    }


def _log_lines(text: str, line_break: bool = False) -> None:
    """Prints a table; `log` takes one line. Keras passes `line_break`."""
    for line in text.splitlines():
        log(line)


def _measured(model, batches, steps: int, *, whole: bool) -> dict:
    """Measures steps of a phase, no more than it has unless the run is `whole`."""
    at_once = model.steps_per_execution
    x, *_ = next(iter(batches.take(1)))
    data = prefetched(sharded(batches), model)

    def limited(calls: int) -> int:
        return calls if whole else min(calls, max(1, steps // at_once))

    def seconds(calls: int) -> float:
        start = time.monotonic()
        model.fit(data, epochs=1, steps_per_epoch=calls * at_once, verbose=0)
        return time.monotonic() - start

    to_compile = seconds(1)
    calls = limited(1 + _DRY_STEPS)
    taken = seconds(calls)
    if taken < _SECONDS:
        calls = limited(math.ceil(_SECONDS / taken * calls))
        taken = seconds(calls)
    a_step = taken / calls / at_once
    return {
        "batch": {name: list(value.shape) for name, value in x.items()},
        "steps": steps,
        "seconds_to_compile": round(to_compile, 1),
        "seconds_a_step": round(a_step, 4),
        "hours": round(a_step * steps / 3600, 2),
    }
