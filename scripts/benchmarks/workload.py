"""What a benchmark suite consists of."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.timing import Candidate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a workload, which is timed alone; its attributes are those of the workload."""

    title: str
    compare: Callable[[Any, Any], str] | None = None
    tokens: int | None = None
    calls: int = 1
    accepts: Callable[[Any], bool] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """Work that all candidates do.

    Attributes:
        title: one line.
        candidates: candidates; the first library is the one that others are compared with.
        compare: describes how a candidate's answer differs from the first library's; None: there
            are no answers.
        tokens: number of unpadded tokens; or a function of a candidate's answer, if candidates
            differ, whose times are then compared per token; None: not counted.
        flops: matrix-product operations (see `matmul`); None: not counted.
        calls: times that a candidate does the work per round, of which the median counts: more
            than one if the work is so short that other programs' threads would still disturb it.
        parts: parts that the same processes do, so that each library is loaded only once; no
            library may have several candidates then. Empty: the work is one part.
        accepts: whether an answer is right; None: it always is.
        goal: the most time that kerasbert's best candidate may take, as a share of the best other
            library's; None: there is no such goal.
    """

    title: str
    candidates: list[Candidate]
    compare: Callable[[Any, Any], str] | None = None
    tokens: int | Callable[[Any], float] | None = None
    flops: float | None = None
    calls: int = 1
    parts: Sequence[Part] = ()
    accepts: Callable[[Any], bool] | None = None
    goal: float | None = None

    def by_part(self) -> "list[Workload]":
        """Returns the work of each part, as a workload of its own."""
        if not self.parts:
            return [self]
        return [
            dataclasses.replace(
                self,
                parts=(),
                title=f"{part.title}, {self.title}",
                compare=part.compare,
                tokens=part.tokens,
                calls=part.calls,
                accepts=part.accepts,
            )
            for part in self.parts
        ]
