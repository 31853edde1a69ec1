"""Loss and accuracy curves as a picture."""

import os

from kerasbert.training.global_batch import SEEN


def draw(reports: list[dict], path: str | os.PathLike, title: str) -> None:
    """Draws losses over scores against the step, training dashed, validation solid.

    Args:
        reports: dicts with `step` and metrics by Keras's names (`loss`, `val_loss`, ...).
        path: the PNG to write.
        title: over the picture.
    """
    from matplotlib.figure import Figure

    names = sorted({name for report in reports for name in report} - {"step", "seconds", *SEEN})
    losses = [name for name in names if name.endswith("loss")]
    scores = [name for name in names if name not in losses]
    panels = [panel for panel in (("loss", losses), ("score", scores)) if panel[1]]
    figure = Figure(figsize=(8, 3.2 * len(panels)), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (label, shown) in zip(axes, panels, strict=True):
        bases = sorted({name.removeprefix("val_") for name in shown})
        for name in shown:
            points = [(report["step"], report[name]) for report in reports if name in report]
            held_out = name.startswith("val_")
            base = name.removeprefix("val_")
            axis.plot(
                *zip(*points, strict=True),
                "-" if held_out else "--",
                marker="." if len(points) < 30 else None,
                color=f"C{bases.index(base)}",
                label=f"{base.replace('_logits', '').replace('_', ' ')}"
                + (" (held out)" if held_out else " (training)"),
            )
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    axes[-1].set_xlabel("step")
    temporary = f"{path}.{os.getpid()}.tmp.png"
    figure.savefig(temporary, dpi=110)
    os.replace(temporary, path)
