"""Loss and scores of a run as a picture."""

import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from kerasbert import files

_TRAINING, _HELD_OUT, _CONSTANT = "C0", "C1", "0.5"  # colours, the same in every panel
_FEW = 40  # points that are marked one by one
_WIDTH = 80  # characters of a line of the title


def draw(
    reports: Sequence[dict],
    losses: Sequence[dict],
    path: str | os.PathLike,
    title: str,
    *,
    scores: Iterable[str] = (),
    baseline: Mapping[str, float] | None = None,
    same_loss: bool = True,
) -> None:
    """Draws the loss against the step, and below it every score in a panel of its own.

    Args:
        reports: dicts with `step` and metrics by Keras's names (`loss`, `val_loss`, ...).
        losses: dicts with `step` and the mean training `loss` of the steps since the one before.
        path: the PNG to write.
        title: over the picture.
        scores: names of metrics, without `val_`; those that no report has are left out.
        baseline: what a constant answer reaches on the held-out examples, by these names.
        same_loss: whether `val_loss` is of the same kind as `loss`, so that both are drawn.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = ["loss", *(name for name in scores if _points(reports, name, f"val_{name}"))]
    figure = Figure(figsize=(8, 0.9 + 2.3 * len(panels)), layout="constrained")
    figure.suptitle("\n".join(textwrap.wrap(title, _WIDTH)), fontsize="medium")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, panels, strict=True):
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
        if baseline and name in baseline:
            axis.axhline(baseline[name], color=_CONSTANT, linestyle=":", label="a constant answer")
        axis.set_ylabel(name.replace("_logits", "").replace("_", " "))
        axis.grid(alpha=0.3)
        axis.margins(x=0.09)  # room for the last value
        axis.legend(fontsize="small")
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    with files.new_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _points(lines: Sequence[dict], *names: str) -> list[tuple[int, float]]:
    """Steps and values, if they are finite, of the lines that have one of these."""
    there = [(line["step"], line[name]) for line in lines for name in names if name in line]
    return [(step, value) for step, value in there if math.isfinite(value)]


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Every value as the mean of its neighbours, a twentieth of all of them."""
    reach = max(1, len(points) // 40)
    values = [value for _, value in points]
    around = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return [(step, sum(near) / len(near)) for (step, _), near in zip(points, around, strict=True)]


def _plot(axis, points: list, color: str, label: str) -> None:
    if points:
        marker = "o" if len(points) <= _FEW else None
        axis.plot(*zip(*points, strict=True), color=color, marker=marker, ms=4, label=label)
