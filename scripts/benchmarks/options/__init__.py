"""The options of the programs in `benchmarks`.

Nothing heavy is imported here, so that help and errors appear at once.
"""

from benchmarks.options.comparisons import (
    PEERS,
    SUITES,
    BenchmarkGpuOptions,
    BenchmarkOptions,
    missing_packages,
)
from benchmarks.options.programs import (
    BenchmarkScalingOptions,
    BenchmarkServerOptions,
    ChineseWordsOptions,
    KillHarnessOptions,
    QualityForTimeOptions,
    TaskResultsOptions,
)

__all__ = [
    "PEERS",
    "SUITES",
    "BenchmarkGpuOptions",
    "BenchmarkOptions",
    "BenchmarkScalingOptions",
    "BenchmarkServerOptions",
    "ChineseWordsOptions",
    "KillHarnessOptions",
    "QualityForTimeOptions",
    "TaskResultsOptions",
    "missing_packages",
]
