"""Agreement between the workers of a run, which must stop and save after the same step."""

from __future__ import annotations

import functools
import signal
import time
from collections.abc import Callable
from typing import Any

from kerasbert.lazy import tensorflow as tf
from kerasbert.training.strategies import is_chief, is_multi_worker

_SECONDS_BETWEEN = 1  # until all workers know of a signal to one of them
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Agreement:
    """Shares signals and flags between workers, after the same steps on all of them.

    Sharing takes a round trip between workers and waits for the device, so it is done about once a
    second, not after every step. The chief decides after how many steps.

    Args:
        strategy: distribution strategy of the run; with one worker, every step is due and nothing
            is communicated.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self.strategy = strategy
        self.has_workers = is_multi_worker(strategy)
        self._due = 0
        self._last = 0, time.monotonic()
        self._interval = 0

    def is_due(self, step: int) -> bool:
        """Returns whether `reach` must be called after this step; the same on all workers."""
        return not self.has_workers or step >= self._due

    def reach(self, step: int, received_signal: int, *flags: bool) -> tuple[Any, ...]:
        """Combines the signals and flags of all workers, which must call this after the same step.

        Args:
            step: number of training steps so far.
            received_signal: signal that this worker received, or 0.
            *flags: flags of this worker.

        Returns:
            A signal that any worker received, or 0, and for each flag whether it is set on any
            worker; the same on all workers.
        """
        if not self.has_workers:
            return received_signal, *flags
        interval = self._next_interval(step) if is_chief(self.strategy) else 0
        own = [*(received_signal == kind for kind in _SIGNALS), *flags, interval]
        sums = _sum_over_workers(self.strategy)(tf.constant(own, tf.int32)).numpy().tolist()
        *counts, self._interval = sums
        self._due = step + self._interval
        self._last = step, time.monotonic()
        received, flagged = counts[: len(_SIGNALS)], counts[len(_SIGNALS) :]
        kinds = [int(kind) for kind, count in zip(_SIGNALS, received, strict=True) if count]
        return (kinds or [0])[0], *map(bool, flagged)

    def _next_interval(self, step: int) -> int:
        """Returns the steps until the next call, at most twice as many as before this one."""
        steps, seconds = step - self._last[0], time.monotonic() - self._last[1]
        in_time = int(steps * _SECONDS_BETWEEN / max(seconds, 1e-6))
        return max(1, min(in_time, 2 * self._interval))


@functools.cache
def _sum_over_workers(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    def add(values):
        return tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(values))

    def run(values):
        return strategy.experimental_local_results(strategy.run(add, args=(values,)))[0]

    return tf.function(run, autograph=False)
