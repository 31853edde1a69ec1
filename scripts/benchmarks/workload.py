"""What a benchmark suite consists of."""

import dataclasses
from collections.abc import Callable
from typing import Any

from benchmarks.timing import Candidate


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
    """

    title: str
    candidates: list[Candidate]
    compare: Callable[[Any, Any], str] | None = None
    tokens: int | Callable[[Any], float] | None = None
    flops: float | None = None
    calls: int = 1
