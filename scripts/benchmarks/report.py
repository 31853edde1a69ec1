"""What a race has shown: numbers, a table, a picture."""

import dataclasses
import pathlib
import platform
import statistics

from benchmarks.device import gpu_name
from benchmarks.timing import Timings
from benchmarks.workload import Workload

CEILING = "ceiling"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """One side's figures.

    Attributes:
        seconds: median, lowest and highest.
        ratio: how many times as long as the first team's side it took, round by round: median,
            lowest and highest.
        tokens_per_second: real tokens.
        gigaflops: of matrix products a second.
        share_of_ceiling: of the largest matmul rate in its precision.
        peak_memory: bytes.
        says: how its answer differs from the first team's.
    """

    seconds: tuple[float, float, float]
    ratio: tuple[float, float, float]
    tokens_per_second: float | None
    gigaflops: float | None
    share_of_ceiling: float | None
    peak_memory: int
    says: str | None


def results(work: Workload, times: dict[str, Timings]) -> dict[str, Result]:
    """Figures by the names of the sides that ran."""
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
        per_token = tokens(ours) / done if done else 1
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


def _middle(numbers: list[float]) -> tuple[float, float, float]:
    return statistics.median(numbers), min(numbers), max(numbers)


def machine() -> dict:
    """What the figures were measured on and with."""
    import importlib.metadata
    import os

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
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": gpu_name(),
        "python": platform.python_version(),
        **measured,
    }


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def table(title: str, measured: dict[str, Result]) -> str:
    """A Markdown table."""
    rows = [
        f"**{title}**",
        "",
        "| side | ms (lowest to highest) | x kerasbert's time | real tokens/s | GFLOP/s "
        "| of the ceiling | peak GB | |",
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
    """Draws a bar for each side: GFLOP/s below the ceiling, or times where none are counted."""
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
