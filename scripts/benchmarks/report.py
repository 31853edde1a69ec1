"""Results of a benchmark as numbers, a table and a plot."""

import dataclasses
import pathlib
import platform
import statistics

from benchmarks.device import gpu_name
from benchmarks.timing import Timings
from benchmarks.workload import Workload
from kerasbert.machine import available_cores, processor

CEILING = "ceiling"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """Results of one candidate.

    Attributes:
        seconds: median, minimum and maximum.
        ratio: time relative to the first library's candidate, round by round: median, minimum and
            maximum.
        tokens_per_second: unpadded tokens per second.
        gigaflops: billions of matrix-product operations per second.
        share_of_ceiling: share of the peak throughput in the same precision.
        peak_memory: bytes.
        says: how its answer differs from the first library's.
    """

    seconds: tuple[float, float, float]
    ratio: tuple[float, float, float]
    tokens_per_second: float | None
    gigaflops: float | None
    share_of_ceiling: float | None
    peak_memory: int
    says: str | None


def results(work: Workload, times: dict[str, Timings]) -> dict[str, Result]:
    """Returns results by the names of the candidates that ran."""
    ceilings = {
        name.split()[1]: one.answer / min(one.seconds)
        for name, one in times.items()
        if name.startswith(CEILING)
    }
    ours = next(iter(times.values()))

    def tokens(one: Timings) -> float | None:
        return work.tokens(one.answer) if callable(work.tokens) else work.tokens

    def result(name: str, one: Timings) -> Result:
        flops = one.answer if name.startswith(CEILING) else work.flops
        ceiling = next((rate for kind, rate in ceilings.items() if kind in name.split()), None)
        done = None if name.startswith(CEILING) else tokens(one)
        per_token = (tokens(ours) or 0) / done if done else 1
        says = None
        if work.compare and not name.startswith(CEILING):
            says = work.compare(ours.answer, one.answer)
        return Result(
            seconds=_middle(one.seconds),
            ratio=_middle([ratio * per_token for ratio in ours.ratios(one)]),
            tokens_per_second=done and done / one.median,
            gigaflops=flops and flops / one.median / 1e9,
            share_of_ceiling=flops and ceiling and flops / one.median / ceiling,
            peak_memory=one.peak_memory,
            says=says,
        )

    return {name: result(name, one) for name, one in times.items()}


def verdict(work: Workload, times: dict[str, Timings]) -> str | None:
    """Compares the fastest of kerasbert's candidates with the fastest other one, round by round.

    Candidates whose answers are wrong don't count. None: the work has no goal, or there is no other
    candidate.
    """
    right = {
        name: one for name, one in times.items() if not work.accepts or work.accepts(one.answer)
    }
    ours = [name for name in right if name.split()[0] == "kerasbert"]
    others = [name for name in right if name.split()[0] not in ("kerasbert", "before")]
    if work.goal is None or not ours or not others:
        return None
    mine, theirs = (min(names, key=lambda name: times[name].median) for names in (ours, others))
    share, low, high = _middle(times[theirs].ratios(times[mine]))
    return (
        f"{mine} takes {share:.2f} ({low:.2f} to {high:.2f}) of the time of {theirs}; "
        f"the goal of {work.goal:g} is {'met' if share <= work.goal else 'missed'}"
    )


def _middle(numbers: list[float]) -> tuple[float, float, float]:
    return statistics.median(numbers), min(numbers), max(numbers)


def machine() -> dict:
    """Returns the hardware and the versions of libraries."""
    import importlib.metadata

    packages = (
        "tensorflow",
        "jax",
        "keras",
        "keras-hub",
        "torch",
        "transformers",
        "onnxruntime",
        "openvino",
        "tokenizers",
    )
    measured = {}
    for package in packages:
        try:
            measured[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": processor(),
        "cores": available_cores(),
        "gpu": gpu_name(),
        "python": platform.python_version(),
        **measured,
    }


def table(title: str, measured: dict[str, Result]) -> str:
    """Formats results as a Markdown table."""
    rows = [
        f"**{title}**",
        "",
        "| library | ms (lowest to highest) | time relative to kerasbert | tokens/s | GFLOP/s "
        "| of the peak | peak GB | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in measured.items():
        middle, low, high = (1e3 * seconds for seconds in one.seconds)
        cells = [
            name,
            f"{middle:.4g} ({low:.4g} to {high:.4g})",
            "{:.2f} ({:.2f} to {:.2f})".format(*one.ratio),
            _shown(one.tokens_per_second, "{:,.0f}"),
            _shown(one.gigaflops, "{:.0f}"),
            _shown(one.share_of_ceiling, "{:.0%}"),
            f"{one.peak_memory / 1e9:.2f}",
            one.says or "",
        ]
        if name.startswith(CEILING):
            cells[1:4] = ["", "", ""]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _shown(number: float | None, form: str) -> str:
    return "" if number is None else form.format(number)


def picture(titles: list[str], measured: list[dict[str, Result]], path: pathlib.Path) -> None:
    """Draws a bar per candidate: GFLOP/s with the peak throughput, or times if not counted."""
    from matplotlib.figure import Figure

    figure = Figure((9, 1 + 2.4 * len(measured)), layout="constrained")
    for axes, title, results in zip(
        figure.subplots(len(measured), squeeze=False)[:, 0], titles, measured, strict=True
    ):
        candidates = {name: one for name, one in results.items() if not name.startswith(CEILING)}
        counted = all(one.gigaflops for one in candidates.values())
        lengths = [
            one.gigaflops if counted else 1e3 * one.seconds[0] for one in candidates.values()
        ]
        bars = axes.barh(list(candidates), lengths)
        axes.bar_label(bars, fmt="{:.4g}", padding=3)
        for name in (results.keys() - candidates.keys()) if counted else ():
            rate = results[name].gigaflops
            axes.axvline(rate, color="black", linestyle="--" if "bfloat16" in name else ":")
            axes.text(rate, -0.45, f" {name}", rotation=90, va="bottom", fontsize=7)
        axes.invert_yaxis()
        axes.set_xlabel("GFLOP/s of matrix products" if counted else "milliseconds, median")
        axes.set_title(title, fontsize=9)
    figure.savefig(path, dpi=120)
