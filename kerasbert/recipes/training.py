"""What the recipes that train have in common: options, optimizer, where they compute and keep."""

import dataclasses
import pathlib
import sys

import keras

from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.training.checkpoints import Checkpoints
from kerasbert.training.loop import train
from kerasbert.training.optimizers import DECAYS, OPTIMIZERS, Warmup
from kerasbert.training.progress import TrainingBar
from kerasbert.training.run_directory import ReportMetrics, RunDirectory
from kerasbert.training.strategies import is_chief

#: Options that may differ between a run and the one that goes on from its checkpoints.
_NOT_OF_THE_RUN = (
    "output",
    "strategy",
    "num_virtual_devices",
    "workers",
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "keep_checkpoints",
)
_PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of every program that trains."""

    optimizer: str = option("adamw", help=f"{' or '.join(OPTIMIZERS)}")
    warmup: float = option(0.1, help="share of the steps in which the learning rate rises")
    decay: str = option("linear", help=f"how the learning rate falls then: {', '.join(DECAYS)}")
    weight_decay: float = option(0.01, help="of all but biases and LayerNorm")
    clip_norm: float = option(1.0, help="limit of the gradient's norm over the global batch")
    precision: str = option("float32", help="float32, or bfloat16 for computing (not for weights)")
    seed: int = option(0, help="decides new weights, order and everything drawn at random")
    strategy: str = option(
        "none", help="none (one device), mirrored (all GPUs), multiworker (TF_CONFIG) or tpu"
    )
    num_virtual_devices: int = option(0, help="cut the CPU into so many, to try mirrored out")
    workers: int = option(1, help="so many multiworker processes on this machine")
    checkpoint_every_steps: int = option(0, help="0: not because of steps")
    checkpoint_every_minutes: float = option(10.0, help="0: not because of time")
    keep_checkpoints: int = option(3, help="how many of the newest stay")

    @property
    def settings(self) -> dict:
        """The options that a run must be gone on with."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in _NOT_OF_THE_RUN}

    @property
    def dtype(self) -> str:
        """The Keras dtype policy of `precision`."""
        return _PRECISIONS[self.precision]

    def check(self) -> None:
        """Raises `InputError` for a value that can't be."""
        for name, known in (("optimizer", OPTIMIZERS), ("precision", _PRECISIONS)):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise InputError(f"--{name} must be one of {', '.join(known)}, found {found!r}")
        if self.decay not in DECAYS:
            raise InputError(f"--decay must be one of {', '.join(DECAYS)}, found {self.decay!r}")
        if not 0 <= self.warmup <= 1:
            raise InputError(f"--warmup must be between 0 and 1, found {self.warmup}")
        if self.workers < 1 or self.num_virtual_devices < 0:
            raise InputError("--workers must be 1 or more, --num_virtual_devices 0 or more")

    def make_optimizer(self, learning_rate: float, steps: int) -> keras.optimizers.Optimizer:
        """The optimizer of a run of so many steps."""
        schedule = Warmup(learning_rate, steps, round(self.warmup * steps), self.decay)
        return OPTIMIZERS[self.optimizer](
            schedule, weight_decay=self.weight_decay, clip_norm=self.clip_norm or None
        )

    def make_checkpoints(self, directory) -> Checkpoints:
        """The checkpoints of a run directory."""
        return Checkpoints(
            directory,
            self.checkpoint_every_steps,
            self.checkpoint_every_minutes,
            self.keep_checkpoints,
            settings=self.settings,
            say=say,
        )


def say(line: str) -> None:
    """One line to standard error, where the bar is too."""
    print(line, file=sys.stderr, flush=True)


class Run:
    """One run of a program that trains, from its beginning or from where it was cut off.

    Args:
        options: what it was started with.
        strategy: where it computes.

    Raises:
        InputError: the output holds a finished run, or checkpoints of a run with other settings.
    """

    def __init__(self, options: TrainingOptions, strategy):
        self.is_chief = is_chief(strategy)
        path = pathlib.Path(options.output)
        self.checkpoints = options.make_checkpoints(path / "checkpoints")
        self.stored = None if (path / "model").exists() else self.checkpoints.newest()
        self.directory = RunDirectory(
            path,
            dataclasses.asdict(options),
            self.stored.step if self.stored else 0,
            write=self.is_chief,
        )

    def train(
        self,
        model,
        batches,
        steps: int,
        *,
        report_every: int,
        validation_data,
        title: str,
        verb: str,
    ) -> None:
        """Trains a compiled model; see `kerasbert.training.loop.train`."""
        callbacks = []
        if self.is_chief:
            callbacks = [TrainingBar(verb, steps), ReportMetrics(self.directory, title)]
        train(
            model,
            batches,
            steps,
            self.checkpoints,
            self.stored,
            report_every=report_every,
            validation_data=validation_data,
            callbacks=callbacks,
        )

    def last_report(self) -> dict:
        """The last line of the metrics; of a worker that writes none, nothing."""
        return self.directory.reports()[-1] if self.is_chief else {}

    def finish(self, model) -> None:
        """Writes the model; the checkpoints have done their work."""
        if self.is_chief:
            model.save_to_preset(self.directory.model)
            self.checkpoints.remove()
