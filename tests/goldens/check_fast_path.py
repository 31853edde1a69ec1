r"""Checks that optimized training converges like plain Keras, in float32 and in bfloat16.

Run it by hand after a change to the computation of training; 9 runs, a few minutes on two cores:

    python tests/goldens/check_fast_path.py \
        --corpus CORPUS --validation_corpus HELD_OUT --output DIR

The corpora are written by `prepare_corpus.py`. Each variant trains with three seeds that determine
weights, order, masks and dropout. Prints a line per variant: the final held-out MLM loss (mean,
minimum and maximum over the seeds), and Student's p for equality with plain Keras. DIR/curves.png
shows all curves. Exits with 1 if a p is below 1 %.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import statistics
import sys
from unittest import mock

from scipy.stats import ttest_ind

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before the runs import TensorFlow

# Variants of training by name: whether optimized, and the precision.
WAYS = {
    "plain float32": (False, "float32"),
    "fast float32": (True, "float32"),
    "fast bfloat16": (True, "bfloat16"),
}
SEEDS = (1, 2, 3)


def plain_path() -> None:
    """Replaces all optimized implementations by Keras's, until the process ends."""
    import keras

    from kerasbert.layers import dropout, paths, transformer
    from kerasbert.layers.tokens import gather_positions
    from kerasbert.training import optimizers

    only_there = transformer.TransformerBlock._forward

    def forward(self, x, padding_mask=None, output_positions=None, **kwargs):
        x, weights = only_there(self, x, padding_mask, **kwargs)
        tokens = x if output_positions is None else gather_positions(x, output_positions)
        return tokens, weights

    for where, name, plain in (
        (paths, "compiles", lambda *inputs: False),
        (transformer.TransformerBlock, "_forward", forward),
        (dropout.Dropout, "draws_bytes", False),
        (optimizers.AdamW, "update_step", keras.optimizers.AdamW.update_step),
    ):
        mock.patch.object(where, name, plain).start()


def train(fast: bool, **options) -> None:
    """Runs one training in this process."""
    from kerasbert.recipes.pretrain import PretrainOptions, pretrain

    if not fast:
        plain_path()
    pretrain(PretrainOptions(**options))


def curve(run: pathlib.Path) -> dict[int, float]:
    """Returns the held-out MLM loss of a run by step."""
    reports = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {one["step"]: one["val_mlm_logits_loss"] for one in reports}


def draw(curves: dict[str, list[dict]], path: pathlib.Path) -> None:
    """Plots one color per variant, and one line per seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for color, (way, runs) in enumerate(curves.items()):
        for run in runs:
            label = way if run is runs[0] else None
            axes.plot(run.keys(), run.values(), color=f"C{color}", alpha=0.7, label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("held-out MLM loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("corpus", "validation_corpus", "output"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--preset", default="bert_tiny")
    parser.add_argument("--steps", type=int, default=600)
    given = parser.parse_args()
    output = pathlib.Path(given.output)
    curves = {}
    for way, (fast, precision) in WAYS.items():
        runs = [output / f"{way.replace(' ', '_')}_{seed}" for seed in SEEDS]
        for seed, run in zip(SEEDS, runs, strict=True):
            options = {
                **vars(given),
                "output": str(run),
                "seed": seed,
                "precision": precision,
                "batch_size": 32,
                "sequence_length": 64,
                "learning_rate": 2e-3,
                "validation_interval": max(1, given.steps // 10),
            }
            process = multiprocessing.get_context("spawn").Process(
                target=train, args=(fast,), kwargs=options
            )
            process.start()
            process.join()
            if process.exitcode:
                return 1
        curves[way] = [curve(run) for run in runs]
    draw(curves, output / "curves.png")
    ends = {way: [run[given.steps] for run in runs] for way, runs in curves.items()}
    same = {way: ttest_ind(losses, ends["plain float32"]).pvalue for way, losses in ends.items()}
    for way, losses in ends.items():
        spread = f"{min(losses):.3f} to {max(losses):.3f}"
        print(f"{way}: {statistics.mean(losses):.3f} ({spread}), p {same[way]:.2f}")
    return int(min(same.values()) < 0.01)


if __name__ == "__main__":
    sys.exit(main())
