"""What a suite of the benchmark consists of."""

import dataclasses
from collections.abc import Callable
from typing import Any

from benchmarks.timing import Candidate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
    """What every side does, and how to speak about it.

    Attributes:
        title: one line.
        sides: the first team is the one that the others are compared with.
        compare: takes the first team's answer and another's; says how they differ. None: sides
            have no answer.
        tokens: real tokens, padding left out, of doing it once; a function: of a side's answer,
            where sides differ, whose times are then compared token by token. None: there are none
            to count.
        flops: operations of matrix products in it, see `matmul`; None: not counted.
        calls: how many times a side does it at its turn, whose time is the median: more than one
            for what is over before another program's threads have come to rest.
    """

    title: str
    candidates: list[Candidate]
    compare: Callable[[Any, Any], str] | None = None
    tokens: int | Callable[[Any], float] | None = None
    flops: float | None = None
    calls: int = 1
