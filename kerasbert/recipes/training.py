"""What the recipes that train have in common: options, optimizer, where they compute and keep."""

import dataclasses
import math
import pathlib
import sys
import time

from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.training.best import Best
from kerasbert.training.checkpoints import Checkpoints
from kerasbert.training.loop import train
from kerasbert.training.optimizers import DECAYS, OPTIMIZERS, Warmup, averaged_weights
from kerasbert.training.progress import TrainingBar
from kerasbert.training.run_directory import ReportMetrics, RunDirectory
from kerasbert.training.strategies import is_chief, make_strategy, sharded

#: Options that may differ between a run and the one that goes on from its checkpoints.
_NOT_OF_THE_RUN = (
    "output",
    "strategy",
    "num_virtual_devices",
    "workers",
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "keep_checkpoints",
    "dry_run",
)
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
_DRY_STEPS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of every program that trains."""

    optimizer: str = option("adamw", help=f"{' or '.join(OPTIMIZERS)}")
    warmup: float = option(0.1, help="share of the steps in which the learning rate rises")
    decay: str = option("linear", help=f"how the learning rate falls then: {', '.join(DECAYS)}")
    weight_decay: float = option(0.01, help="of all but biases and LayerNorm")
    clip_norm: float = option(1.0, help="limit of the gradient's norm over the global batch")
    layer_decay: float | None = option(
        None,
        help="every layer learns at so many times the rate of the one above; default: all alike",
    )
    freeze_layers: int = option(0, help="embeddings and so many layers from the bottom stay")
    freeze: list[str] = option(
        [],
        help="weights that stay, by the beginning of their path, such as layer_0; may be repeated",
    )
    ema: float | None = option(
        None, help="validate and save a moving average of the weights, of this momentum"
    )
    accumulation_steps: int = option(
        1, help="cut a batch into so many pieces, computed one after the other, to save memory"
    )
    gradient_checkpointing: bool = option(
        False, help="compute activations again for the gradient, to save memory"
    )
    precision: str = option(
        "float32",
        help="of computing, not of weights: float32, bfloat16, or float16 (scales the loss)",
    )
    steps_per_execution: int = option(1, help="steps between two looks at what happens")
    deterministic: bool = option(
        False, help="repeatable to the bit on GPUs too, but slower; on a CPU it is so anyway"
    )
    monitor: str | None = option(
        None, help="keep the model with the best such metric (val_accuracy, say), not the last"
    )
    patience: int = option(
        0, help="with --monitor: stop after so many reports without a better one"
    )
    dry_run: bool = option(
        False, help="write nothing: show the model, a batch and how long the run would take"
    )
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
        return POLICIES[self.precision]

    def check(self) -> None:
        """Raises `InputError` for a value that can't be."""
        for name, known in (("optimizer", OPTIMIZERS), ("precision", POLICIES)):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise InputError(f"--{name} must be one of {', '.join(known)}, found {found!r}")
        if self.decay not in DECAYS:
            raise InputError(f"--decay must be one of {', '.join(DECAYS)}, found {self.decay!r}")
        if not 0 <= self.warmup <= 1:
            raise InputError(f"--warmup must be between 0 and 1, found {self.warmup}")
        at_least = {"workers": 1, "accumulation_steps": 1, "steps_per_execution": 1}
        at_least |= dict.fromkeys(("num_virtual_devices", "patience", "freeze_layers"), 0)
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise InputError(f"--{name} must be {least} or more, found {getattr(self, name)}")
        for name in ("ema", "layer_decay"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise InputError(f"--{name} must be between 0 and 1, found {value}")
        if self.patience and not self.monitor:
            raise InputError("--patience needs --monitor, the metric to be patient with")

    def make_strategy(self):
        """Where the run computes."""
        if self.deterministic:
            import tensorflow as tf

            tf.config.experimental.enable_op_determinism()
        return make_strategy(self.strategy, self.num_virtual_devices)

    def compile(self, model, learning_rate: float, steps: int, **kwargs) -> None:
        """Compiles a task for a run of so many steps; in the scope of its strategy."""
        model.freeze(self.freeze_layers, self.freeze)
        model.backbone.gradient_checkpointing = self.gradient_checkpointing
        schedule = Warmup(learning_rate, steps, round(self.warmup * steps), self.decay)
        optimizer = OPTIMIZERS[self.optimizer](
            schedule,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm or None,
            ema=self.ema,
        )
        model.compile(
            optimizer,
            layer_decay=self.layer_decay,
            accumulation_steps=self.accumulation_steps,
            steps_per_execution=self.steps_per_execution,
            **kwargs,
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
        monitors = self.is_chief and options.monitor
        self.best = Best(self.directory, options.monitor, options.patience) if monitors else None
        self.steps_per_execution = options.steps_per_execution

    def train(
        self,
        model,
        batches,
        steps: int,
        *,
        report_every: int,
        validate,
        title: str,
        verb: str,
    ) -> None:
        """Trains a compiled model; see `kerasbert.training.loop.train`."""
        if (steps % self.steps_per_execution) or (report_every % self.steps_per_execution):
            raise InputError(
                f"--steps_per_execution={self.steps_per_execution} must divide the {steps} steps "
                f"and the {report_every} steps between two reports"
            )
        bar = TrainingBar(verb, steps) if self.is_chief else None
        callbacks = [bar, ReportMetrics(self.directory, title)] if self.is_chief else []
        try:
            train(
                model,
                batches,
                steps,
                self.checkpoints,
                self.stored,
                report_every=report_every,
                validate=validate,
                callbacks=callbacks,
                best=self.best,
            )
        finally:
            if bar:
                bar.close()

    def report(self) -> dict:
        """The last report, or that of the model that is kept; nothing in a worker that has none."""
        if self.best:
            return self.best.report
        return self.directory.reports()[-1] if self.is_chief else {}

    def finish(self, model) -> dict:
        """Writes the model; the checkpoints have done their work.

        Returns:
            What every program says of its run.
        """
        report = self.report()
        if self.best:
            self.best.move_to(self.directory.model)
        elif self.is_chief:
            with averaged_weights(model):
                model.save_to_preset(self.directory.model)
        if self.is_chief:
            self.checkpoints.remove()
        said = {"model": str(self.directory.model), "curves": str(self.directory.curves)}
        if report:
            said["steps"] = report["step"]
            said["real_tokens"] = round(report["tokens"] / report["positions"], 4)
        return said


def dry_run(model, batches, steps: int) -> dict:
    """Trains a compiled model for some steps, to see how long all of them would take.

    Args:
        model: compiled.
        batches: see `kerasbert.training.loop.train`.
        steps: steps of the whole run.

    Returns:
        What is known of model and batch, and seconds.
    """
    model.summary(print_fn=say)
    x, *_ = next(iter(batches(0).take(1)))
    data = sharded(batches(0))
    seconds = []
    for count in (1, 1 + _DRY_STEPS):  # the first step compiles
        start = time.monotonic()
        model.fit(data, epochs=1, steps_per_epoch=count * model.steps_per_execution, verbose=0)
        seconds.append(time.monotonic() - start)
    a_step = seconds[1] / (1 + _DRY_STEPS) / model.steps_per_execution
    return {
        "parameters": model.count_params(),
        "trained_parameters": sum(math.prod(v.shape) for v in model.trainable_variables),
        "batch": {name: list(value.shape) for name, value in x.items()},
        "steps": steps,
        "seconds_to_compile": round(seconds[0], 1),
        "seconds_a_step": round(a_step, 4),
        "hours": round(a_step * steps / 3600, 2),
    }
