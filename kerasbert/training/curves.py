"""Plots of the loss and the scores of a run."""

import functools
import importlib.util
import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kerasbert import files
from kerasbert.training.progress import log

_TRAINING, _HELD_OUT, _CONSTANT = "C0", "C1", "0.5"  # colors, the same in every panel
_FEW = 40  # most points of a curve that are drawn with markers
_WIDTH = 80  # characters in a line of the title


def draw(
    reports: Sequence[dict[str, Any]],
    losses: Sequence[dict[str, Any]],
    path: str | os.PathLike[str],
    title: str,
    *,
    scores: Iterable[str] = (),
    baseline: Mapping[str, float] | None = None,
    same_loss: bool = True,
) -> None:
    """Plots the loss against the step, and each score in a panel below.

    Without matplotlib, a line says so once, and the run goes on: `metrics.jsonl` has the numbers.

    Args:
        reports: metrics of the evaluations: dicts with `step` and metrics by Keras's names (`loss`,
            `val_loss`, ...).
        losses: dicts with `step` and `loss`, the mean training loss since the previous one.
        path: PNG file to write.
        title: title of the plot.
        scores: names of metrics without `val_`; those that no evaluation has are skipped.
        baseline: scores of a constant answer on the held-out examples, by the same names.
        same_loss: whether `val_loss` is comparable with `loss`, so that both are plotted.
    """
    if importlib.util.find_spec("matplotlib") is None:
        _say_why_not()
        return
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = ["loss", *(name for name in scores if _points(reports, name, f"val_{name}"))]
    figure = Figure(figsize=(8, 0.9 + 2.3 * len(panels)), layout="constrained")
    # Two `$`, as a file name may have, would make a formula of what is between them.
    text = "\n".join(textwrap.wrap(title, _WIDTH))
    figure.suptitle(text, fontsize="medium", parse_math=False)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, panels, strict=True):
        _draw_panel(axis, name, reports, losses, baseline or {}, same_loss)
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    with files.new_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _draw_panel(
    axis,
    name: str,
    reports: Sequence[dict],
    losses: Sequence[dict],
    baseline: Mapping[str, float],
    same_loss: bool,
) -> None:
    """Plots the loss or a score; arguments as of `draw`."""
    training = _points(losses, name) if name == "loss" and losses else _points(reports, name)
    if name == "loss" and len(training) > _FEW:
        axis.plot(*zip(*training, strict=True), color=_TRAINING, alpha=0.3, linewidth=0.8)
        training = _smoothed(training)
    _plot(axis, training, _TRAINING, "training")
    held_out = _points(reports, f"val_{name}") if same_loss or name != "loss" else []
    _plot(axis, held_out, _HELD_OUT, "held out")
    if held_out:
        step, value = held_out[-1]
        axis.annotate(
            f"{value:.4g}",
            (step, value),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    if name in baseline:
        axis.axhline(baseline[name], color=_CONSTANT, linestyle=":", label="a constant answer")
    axis.set_ylabel(name.replace("_logits", "").replace("_", " "))
    axis.grid(alpha=0.3)
    axis.margins(x=0.09)  # space for the last value's label
    axis.legend(fontsize="small")


@functools.cache
def _say_why_not() -> None:
    log("curves are not drawn without matplotlib: pip install 'kerasbert[plots]'")


def _points(lines: Sequence[dict], *names: str) -> list[tuple[int, float]]:
    """Returns (step, value) pairs of the lines with one of the names, if the value is finite."""
    there = [(line["step"], line[name]) for line in lines for name in names if name in line]
    return [(step, value) for step, value in there if math.isfinite(value)]


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Returns the moving average of the values, over a twentieth of the points."""
    reach = max(1, len(points) // 40)
    values = [value for _, value in points]
    around = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [(step, sum(near) / len(near)) for (step, _), near in zip(points, around, strict=True)]


def _plot(axis, points: list, color: str, label: str) -> None:
    if points:
        marker = "o" if len(points) <= _FEW else None
        axis.plot(*zip(*points, strict=True), color=color, marker=marker, ms=4, label=label)
