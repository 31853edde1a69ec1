"""Counters and histograms in the text format of Prometheus."""

import bisect
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Counter:
    """A number that only grows, for each combination of labels."""

    kind = "counter"

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()):
        self.name, self.help, self._labels = name, help, tuple(labels)
        self._values: dict[tuple[str, ...], int] = {} if labels else {(): 0}
        self._lock = threading.Lock()

    def add(self, *labels: str, amount: int = 1) -> None:
        """Adds to the number of these values of the labels."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def totals(self) -> dict[str, int]:
        """Returns the numbers by the values of the labels, joined by spaces."""
        with self._lock:
            return {" ".join(key): number for key, number in self._values.items()}

    def lines(self) -> list[str]:
        """Returns the lines of Prometheus's format."""
        with self._lock:
            values = dict(self._values)
        return [f"{self.name}{_braces(self._labels, key)} {n}" for key, n in values.items()]


class Histogram:
    """How often values were at most each of a few bounds."""

    kind = "histogram"

    def __init__(self, name: str, help: str, bounds: Sequence[float]):
        self.name, self.help, self._bounds = name, help, tuple(bounds)
        self._counts, self._sum = [0] * (len(bounds) + 1), 0.0
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Counts a value."""
        with self._lock:
            self._counts[bisect.bisect_left(self._bounds, value)] += 1
            self._sum += value

    def lines(self) -> list[str]:
        """Returns the lines of Prometheus's format."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        found, lines = 0, []
        for bound, count in zip([*self._bounds, "+Inf"], counts, strict=True):
            found += count
            lines.append(f'{self.name}_bucket{{le="{bound}"}} {found}')
        return [*lines, f"{self.name}_sum {total}", f"{self.name}_count {found}"]


class Gauge:
    """A number for each combination of labels, which a function returns at the time of asking."""

    kind = "gauge"

    def __init__(
        self,
        name: str,
        help: str,
        values: Callable[[], Mapping[tuple[str, ...], float]],
        labels: Sequence[str] = (),
    ):
        self.name, self.help, self._values, self._labels = name, help, values, tuple(labels)

    def lines(self) -> list[str]:
        """Returns the lines of Prometheus's format."""
        return [
            f"{self.name}{_braces(self._labels, key)} {value}"
            for key, value in self._values().items()
        ]


class Metrics:
    """All metrics of a server."""

    def __init__(self):
        self.requests = Counter(
            "kerasbert_requests_total", "Requests, by API and status.", ("api", "status")
        )
        self.rows = Counter("kerasbert_rows_total", "Rows that were computed.")
        self.latency = Histogram(
            "kerasbert_request_seconds", "Time from request to answer.", SECONDS
        )
        self.batch_rows = Histogram("kerasbert_batch_rows", "Rows of a batch.", SIZES)
        self._all = [self.requests, self.rows, self.latency, self.batch_rows]

    def add(self, metric: Any) -> None:
        """Adds a metric."""
        self._all.append(metric)

    def text(self) -> str:
        """Returns all metrics in Prometheus's format."""
        lines = []
        for metric in self._all:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
            lines += metric.lines()
        return "\n".join(lines) + "\n"


def _braces(labels: Sequence[str], values: Sequence[str]) -> str:
    """Returns `{label="value"}`."""
    pairs = (f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True))
    return f"{{{','.join(pairs)}}}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
