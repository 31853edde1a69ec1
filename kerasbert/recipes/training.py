"""Shared by all training recipes: strategy, optimizer, run directory, checkpoints."""

import contextlib
import dataclasses
import math
import pathlib
import time
from collections.abc import Iterator

from kerasbert import files
from kerasbert.data.corpus.manifest import MANIFEST
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
_MOST_LOSSES = 200  # lines of losses.jsonl, approximately; evaluations may add more


@contextlib.contextmanager
def begin(options: TrainingOptions) -> Iterator:
    """Yields the distribution strategy, with the output locked.

    Args:
        options: options of the run.

    Raises:
        InputError: the output contains a finished run or is locked by another one, the devices are
            not available, or another worker is lost.
    """
    if not options.dry_run:
        refuse_finished(pathlib.Path(options.output))
    if options.deterministic and not options.on_jax:  # JAX uses an environment variable
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
    """Compiles a task for a run; to be called in the scope of the strategy.

    Args:
        options: options of the run.
        model: task to compile.
        steps: total number of training steps.
        report_every: evaluation interval, in steps.
        shapes: number of different batch shapes if XLA compiles the steps.
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
    """Returns the argument `jit_compile` of Keras's `compile`, or nothing for its default."""
    if options.jit_compile != "auto":
        return {"jit_compile": options.jit_compile == "true"}
    if not ON_TENSORFLOW:
        return {}  # on JAX steps are always compiled
    # Steps of several replicas can't be compiled, and those of a TPU always are.
    one_replica = model.distribute_strategy.num_replicas_in_sync == 1
    can_be = one_replica and options.strategy in ("none", "mirrored")
    return {"jit_compile": can_be and backends.compiles_steps(steps, shapes)}


def log_start(options: TrainingOptions, strategy, verb: str, data: str, steps: int) -> None:
    """Logs the devices, the precision, the data and the number of steps at the start of a run.

    Args:
        options: options of the run.
        strategy: distribution strategy.
        verb: label of the line, such as the name of the program.
        data: description of the training data.
        steps: total number of training steps.
    """
    if is_chief(strategy):
        log(
            f"{verb}: {describe(strategy)}, {options.precision}; {data}; "
            f"{steps:,} step{'s' * (steps > 1)} of {options.batch_size:,}"
        )


#: Options that name the input files and directories of a run.
_INPUTS = ("train", "validation", "corpus", "validation_corpus", "init", "teacher", "student")


def _contents(options: TrainingOptions) -> dict[str, str]:
    """Returns the SHA-256 of the input files; a run resumes only if they are unchanged.

    Inputs that are not local files (an architecture, a model fetched by name) have none.
    """
    digests = {}
    for name in _INPUTS:
        named = getattr(options, name, None) or []
        for location, path in enumerate([named] if isinstance(named, str) else named):
            path = pathlib.Path(path)
            if files.exists(path):
                # The manifest of a corpus has the checksums of its files.
                manifest = path / MANIFEST
                content = files.sha256_of_all(manifest if files.exists(manifest) else path)
                digests[f"content of {name}" + (f" {location + 1}" if location else "")] = content
    return digests


class Run:
    """A run of a training program, new or resumed from its newest checkpoint.

    Args:
        options: options of the run.
        strategy: distribution strategy.

    Raises:
        InputError: the output contains a finished run, or checkpoints of a run with other settings
            or input files.
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

        `title` and `drawn` are arguments of `ReportMetrics`; `verb` is the progress bar's label.

        Raises:
            InputError: `steps_per_execution` does not divide `steps` or `report_every`.
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
        """Returns the metrics of the last evaluation, or of the best if a metric is monitored.

        Only the chief has them; other workers return an empty dict.
        """
        if self.best:
            return self.best.report
        return self.directory.reports()[-1] if self.is_chief else {}

    def finish(self, model) -> dict:
        """Writes the trained model and removes the checkpoints.

        Returns:
            The results that all training programs print: paths of model and plot, and in the chief
            the steps and the fraction of unpadded tokens.
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
    """Trains a compiled model for a few steps, to estimate the duration of the run.

    Args:
        model: compiled model.
        batches: see `kerasbert.training.loop.train`.
        steps: total number of training steps.

    Returns:
        Numbers of parameters and steps, shapes of a batch, measured and estimated times.
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
