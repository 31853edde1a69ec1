"""What the recipes that train have in common: optimizer, where they compute and keep."""

import contextlib
import dataclasses
import math
import pathlib
import time
from collections.abc import Iterator

from kerasbert import files
from kerasbert.data.corpus import MANIFEST
from kerasbert.errors import InputError
from kerasbert.layers import backends
from kerasbert.recipes.jax_devices import distributed
from kerasbert.recipes.options import TrainingOptions
from kerasbert.training.best import SaveBestModel
from kerasbert.training.checkpoints import Checkpoints
from kerasbert.training.loop import train
from kerasbert.training.optimizers import OPTIMIZERS, Warmup, averaged_weights
from kerasbert.training.progress import TrainingBar, log
from kerasbert.training.run_directory import (
    LOSSES,
    METRICS,
    MODEL,
    ReportMetrics,
    RunDirectory,
    refuse_finished,
)
from kerasbert.training.steps import ON_TENSORFLOW
from kerasbert.training.strategies import describe, is_chief, make_strategy, sharded
from kerasbert.training.workers import lost_workers_named

_DRY_STEPS = 5
_MOST_LOSSES = 200  # of a run, that are written down


@contextlib.contextmanager
def begin(options: TrainingOptions) -> Iterator:
    """Yields where a run computes. While this lasts, no other run writes to the output.

    Raises:
        InputError: the output holds a finished run or is being written, there are no such
            devices, or another worker is lost.
    """
    if not options.dry_run:
        refuse_finished(pathlib.Path(options.output))
    if options.deterministic and not options.on_jax:  # there an environment variable says so
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    virtual = 0 if options.on_jax else options.num_virtual_devices
    strategy = make_strategy(options.strategy, virtual)
    writes = is_chief(strategy) and not options.dry_run
    lock = files.locked(options.output, inside=True) if writes else contextlib.nullcontext()
    several = options.strategy == "multiworker"
    named = lost_workers_named(strategy) if several else contextlib.nullcontext()
    with lock, named, distributed(options):
        yield strategy


def compile_for(
    options: TrainingOptions, model, steps: int, *, report_every: int, shapes: int = 1, **kwargs
) -> None:
    """Compiles a task for a run; in the scope of its strategy.

    Args:
        options: of the run.
        model: the task.
        steps: of the whole run.
        report_every: steps between two reports.
        shapes: how many shapes batches have if XLA compiles the steps.
        **kwargs: as in the task's `compile`.
    """
    model.freeze(options.freeze_layers, options.freeze)
    model.backbone.gradient_checkpointing = options.gradient_checkpointing
    warmup = round(options.warmup_ratio * steps)
    schedule = Warmup(options.learning_rate, steps, warmup, options.lr_schedule)
    optimizer = OPTIMIZERS[options.optimizer](
        schedule,
        weight_decay=options.weight_decay,
        clip_norm=options.clip_norm or None,
        ema=options.ema_momentum,
    )
    model.compile(
        optimizer,
        layer_decay=options.layerwise_lr_decay,
        accumulation_steps=options.accumulation_steps,
        steps_per_execution=options.steps_per_execution
        or backends.steps_per_execution(steps, report_every, options.checkpoint_every_steps),
        **_compiled(options, model, steps, shapes),
        **kwargs,
    )


def _compiled(options: TrainingOptions, model, steps: int, shapes: int) -> dict:
    """Whether XLA compiles the steps, as Keras's `compile` takes it."""
    if options.jit_compile != "auto":
        return {"jit_compile": options.jit_compile == "true"}
    if not ON_TENSORFLOW:
        return {}  # always
    # Steps of several replicas add up their gradients, and a TPU's are compiled anyway.
    one_replica = model.distribute_strategy.num_replicas_in_sync == 1
    can_be = one_replica and options.strategy in ("none", "mirrored")
    return {"jit_compile": can_be and backends.compiles_steps(steps, shapes)}


def log_start(options: TrainingOptions, strategy, verb: str, data: str, steps: int) -> None:
    """The line that a run begins with: where it computes, on what, and how long.

    Args:
        options: of the run.
        strategy: where it computes.
        verb: the program.
        data: what is trained on.
        steps: of the whole run.
    """
    if is_chief(strategy):
        log(
            f"{verb}: {describe(strategy)}, {options.precision}; {data}; "
            f"{steps:,} step{'s' * (steps > 1)} of {options.batch_size:,}"
        )


#: Options that name the files and directories that a run is made from.
_INPUTS = ("train", "validation", "corpus", "validation_corpus", "init", "teacher", "student")


def _contents(options: TrainingOptions) -> dict[str, str]:
    """The SHA-256 of what the options name: a run goes on only with the same.

    What is no file here (an architecture, or what is fetched by its name) has none.
    """
    digests = {}
    for name in _INPUTS:
        named = getattr(options, name, None) or []
        for location, path in enumerate([named] if isinstance(named, str) else named):
            path = pathlib.Path(path)
            if files.exists(path):
                # The manifest of a corpus has the sums of its files.
                manifest = path / MANIFEST
                content = files.sha256_of_all(manifest if files.exists(manifest) else path)
                digests[f"content of {name}" + (f" {location + 1}" if location else "")] = content
    return digests


class Run:
    """One run of a program that trains, from its beginning or from where it was cut off.

    Args:
        options: what it was started with.
        strategy: where it computes.

    Raises:
        InputError: the output holds a finished run, or checkpoints of a run with other settings or
            made from other files.
    """

    def __init__(self, options: TrainingOptions, strategy):
        self.is_chief = is_chief(strategy)
        path = pathlib.Path(options.output)
        self.checkpoints = Checkpoints(
            path / "checkpoints",
            options.checkpoint_every_steps,
            options.checkpoint_every_minutes,
            options.keep_checkpoints,
            settings={**options.settings, **_contents(options)},
            upgrade=options.upgraded,
            copied=[path / METRICS, path / LOSSES],
            log=log,
        )
        self.stored = None if files.exists(path / MODEL) else self.checkpoints.newest()
        self.directory = RunDirectory(
            path,
            dataclasses.asdict(options),
            self.stored.step if self.stored else 0,
            stored=self.stored and self.stored.path,
            write=self.is_chief,
        )
        monitors = self.is_chief and options.monitor
        self.best = (
            SaveBestModel(self.directory, options.monitor, options.patience) if monitors else None
        )
        self.monitor = options.monitor

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
        **drawn,
    ) -> None:
        """Trains a compiled model; see `kerasbert.training.loop.train`.

        `drawn` says more about the curves, see `ReportMetrics`.
        """
        at_once = model.steps_per_execution
        if steps % at_once or report_every % at_once:
            raise InputError(
                f"--steps_per_execution={at_once} must divide the {steps} steps "
                f"and the {report_every} steps between two reports"
            )
        bar = TrainingBar(verb, steps) if self.is_chief else None
        callbacks = []
        if self.is_chief:
            every = max(1, round(steps / _MOST_LOSSES / at_once))
            report = ReportMetrics(
                self.directory,
                title,
                loss_every=every * at_once,
                **drawn,
            )
            callbacks = [bar, report]
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
                monitor=self.monitor,
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
        result = {"model": str(self.directory.model), "curves": str(self.directory.curves)}
        if report:
            result["steps"] = report["step"]
            result["real_tokens"] = round(report["tokens"] / report["positions"], 4)
        return result


def dry_run(model, batches, steps: int) -> dict:
    """Trains a compiled model for some steps, to see how long all of them would take.

    Args:
        model: compiled.
        batches: see `kerasbert.training.loop.train`.
        steps: steps of the whole run.

    Returns:
        What is known of model and batch, and seconds.
    """
    model.summary(print_fn=log)
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
