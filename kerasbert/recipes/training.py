"""Shared by all training recipes: strategy, run directory, checkpoints."""

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kerasbert import files
from kerasbert.checkpoints import ModelCard, cards
from kerasbert.data.corpus import remote
from kerasbert.data.corpus.manifest import MANIFEST
from kerasbert.errors import InputError
from kerasbert.recipes.jax_devices import distributed
from kerasbert.recipes.options import TrainingOptions
from kerasbert.training.best import SaveBestModel
from kerasbert.training.checkpoints import Checkpoints
from kerasbert.training.loop import train
from kerasbert.training.optimizers import averaged_weights
from kerasbert.training.progress import TrainingBar, log
from kerasbert.training.run_directory import (
    CHECKPOINTS,
    LOSSES,
    METRICS,
    MODEL,
    WRITTEN,
    ReportMetrics,
    RunDirectory,
    refuse_finished,
    refuse_foreign,
    remove_leftovers,
)
from kerasbert.training.stored_checkpoint import StoredCheckpoint
from kerasbert.training.strategies import describe, is_chief, is_multi_worker, make_strategy
from kerasbert.training.workers import lost_workers_named

_MOST_LOSSES = 200  # lines of losses.jsonl, approximately; evaluations may add more


@contextlib.contextmanager
def begin(options: TrainingOptions, permanent: int = 0) -> Iterator[Any]:
    """Yields the distribution strategy, with the output locked.

    Args:
        options: options of the run.
        permanent: as in `Run`.

    Raises:
        InputError: the output contains a finished run, or files in the way of a run, or is locked
            by another run; the devices are not available or run out of memory, or another worker
            is lost.
    """
    if not options.dry_run:
        path = pathlib.Path(options.output)
        refuse_foreign(path)
        remove_leftovers(path, dataclasses.asdict(options), permanent)
        refuse_finished(path)
    if options.deterministic and not options.on_jax:  # JAX uses an environment variable
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    virtual = 0 if options.on_jax else options.num_virtual_devices
    strategy = make_strategy(options.strategy, virtual)
    writes = is_chief(strategy) and not options.dry_run
    lock = files.locked(options.output, inside=WRITTEN) if writes else contextlib.nullcontext()
    several = is_multi_worker(strategy)
    named = lost_workers_named(strategy) if several else contextlib.nullcontext()
    with lock, named, _memory_named(), distributed(options):
        yield strategy


# What TensorFlow, XLA and JAX say of memory; other resources, such as a disk, are exhausted, too.
_OUT_OF_MEMORY = re.compile(".*(OOM when|out of memory|to allocate).*", re.IGNORECASE)


@contextlib.contextmanager
def _memory_named() -> Iterator[None]:
    """Converts errors about a device's memory to one line that names the options that save it."""
    try:
        yield
    except Exception as error:  # of a class of TensorFlow or JAX, which may not be installed
        kind, found = f"{type(error).__name__}: {error}", _OUT_OF_MEMORY.search(str(error))
        if not found or not re.search("ResourceExhausted|RESOURCE_EXHAUSTED", kind):
            raise
        raise InputError(
            f"the device's memory does not suffice ({found[0].strip()}); a smaller --batch_size, "
            "more --accumulation_steps, --gradient_checkpointing and --precision bfloat16 need less"
        ) from None


def log_start(options: TrainingOptions, strategy: Any, verb: str, data: str, steps: int) -> None:
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
INPUTS = (
    "train",
    "validation",
    "corpus",
    "validation_corpus",
    "similar_words",
    "init",
    "teacher",
    "student",
)


def _contents(options: TrainingOptions) -> dict[str, str]:
    """Returns the SHA-256 of the input files; a run resumes only if they are unchanged.

    Inputs that are not local files (an architecture, a model fetched by name) have none.
    """
    digests = {}
    for name in INPUTS:
        for location, path in enumerate(options.input_paths(name)):
            path = remote.local(path) if "corpus" in name else pathlib.Path(path)
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
        start: function that returns the checkpoint of another run, from which a new run begins, or
            None to begin with the first step; called if this run has no checkpoints.
        permanent: step whose checkpoint stays when the run has finished; 0: none.

    Raises:
        InputError: the output contains a finished run, or checkpoints of a run with other settings
            or input files.
    """

    def __init__(
        self,
        options: TrainingOptions,
        strategy: Any,
        start: Callable[[], StoredCheckpoint | None] = lambda: None,
        permanent: int = 0,
    ):
        self.is_chief = is_chief(strategy)
        path = pathlib.Path(options.output)
        self.checkpoints = Checkpoints(
            path / CHECKPOINTS,
            options.checkpoint_every_steps,
            options.checkpoint_every_minutes,
            options.keep_checkpoints,
            permanent=permanent,
            settings={**options.settings, **_contents(options)},
            upgrade=options.upgraded,
            copied=[path / METRICS, path / LOSSES],
            log=log,
        )
        self.stored = None if files.exists(path / MODEL) else self.checkpoints.newest() or start()
        self.directory = RunDirectory(
            path,
            dataclasses.asdict(options),
            self.stored.step if self.stored else 0,
            stored=self.stored and self.stored.path,
            write=self.is_chief,
        )
        self.best = (
            SaveBestModel(self.directory, options.monitor, options.patience, options.first_step)
            if self.is_chief and options.monitor
            else None
        )
        self.monitor = options.monitor

    def train(
        self,
        model: Any,
        batches: Any,
        steps: int,
        *,
        report_every: int,
        boundaries: Sequence[int] = (),
        validate: Any,
        title: str,
        verb: str,
        **drawn: Any,
    ) -> None:
        """Trains a compiled model; see `kerasbert.training.loop.train`.

        `title` and `drawn` are arguments of `ReportMetrics`; `verb` is the progress bar's label.

        Raises:
            InputError: `steps_per_execution` does not divide the steps until something is due.
        """
        at_once = model.steps_per_execution
        counts = [
            (steps, "of the run"),
            (report_every, "between two reports"),
            (self.checkpoints.every_steps, "between two checkpoints"),
            *((step, "before a phase") for step in boundaries),
            (self.checkpoints.permanent, "before the decay"),
        ]
        if wrong := [f"the {count} steps {which}" for count, which in counts if count % at_once]:
            raise InputError(f"--steps_per_execution={at_once} must divide {' and '.join(wrong)}")
        first = self.stored.step if self.stored else 0
        bar = TrainingBar(verb, steps, first) if self.is_chief else None
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
                boundaries=boundaries,
                validate=validate,
                callbacks=callbacks,
                best=self.best,
                monitor=self.monitor,
            )
        finally:
            if bar:
                bar.close()

    def report(self) -> dict[str, Any]:
        """Returns the metrics of the last evaluation, or of the best if a metric is monitored.

        Only the chief has them; other workers return an empty dict.
        """
        if self.best:
            return self.best.report
        return self.directory.reports()[-1] if self.is_chief else {}

    def finish(self, model: Any, card: ModelCard) -> dict[str, Any]:
        """Writes the trained model and removes the checkpoints.

        Args:
            model: the model.
            card: what its model card says.

        Returns:
            The results that all training programs print: paths of model and plot, and in the chief
            the steps and the fraction of unpadded tokens.
        """
        report = self.report()
        if self.best:
            cards.write(self.best.path, model.card_text(card))
            self.best.move_to(self.directory.model)
        elif self.is_chief:
            with averaged_weights(model):
                model.save_to_preset(self.directory.model, card=card)
        if self.is_chief:
            self.checkpoints.remove()
        result = {"model": str(self.directory.model)}
        if files.exists(self.directory.curves):  # not without matplotlib
            result["curves"] = str(self.directory.curves)
        if self.checkpoints.permanent_path and files.exists(self.checkpoints.permanent_path):
            result["before_decay"] = str(self.checkpoints.permanent_path)
        if report:
            result["steps"] = report["step"]
            result["real_tokens"] = round(report["tokens"] / report["positions"], 4)
        return result
