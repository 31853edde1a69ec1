"""Batches of a run whose shape changes: the sequence length, the number of examples, or both."""

import bisect
from collections.abc import Sequence

from kerasbert.data.pretraining.batches import PretrainingBatches


class PhasedBatches:
    """Batches of several phases, each a pure function of (seed, step) as in one phase.

    Args:
        phases: the batches of each phase, from their `first_step` on, in order.
    """

    def __init__(self, phases: Sequence[PretrainingBatches]):
        self.phases = tuple(phases)
        self._starts = [batches.first_step for batches in phases]

    @property
    def boundaries(self) -> list[int]:
        """The first steps of all phases but the first."""
        return self._starts[1:]

    def epochs(self, steps: int) -> float:
        """Returns how often a run of so many steps goes through its windows."""
        ends = [*self.boundaries, steps]
        spans = zip(self.phases, self._starts, ends, strict=True)
        return sum((end - start) / batches.steps_per_epoch for batches, start, end in spans)

    def dataset(self, start: int = 0):
        """Returns the batches from step `start` to the end of its phase; the last has no end."""
        phase = bisect.bisect_right(self._starts, start) - 1
        rest = self._starts[phase + 1] - start if phase + 1 < len(self.phases) else None
        return self.phases[phase].dataset(start, rest)
