"""The directory of a training run: settings, metrics, curves, model."""

import math
import os
import pathlib
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

import keras

from kerasbert import files, schema
from kerasbert.errors import InputError
from kerasbert.training import curves, step_directories
from kerasbert.training.events import EventWriter
from kerasbert.training.exact_optimizer import SEEN

CONFIG, METRICS, LOSSES = "config.json", "metrics.jsonl", "losses.jsonl"
CURVES, MODEL = "curves.png", "model"
EVENTS, BEST, CHECKPOINTS = "tensorboard", "best", "checkpoints"
#: What a run replaces or appends to.
WRITTEN = (CONFIG, METRICS, LOSSES, CURVES, MODEL)

# Settings of all training programs, of all versions; other programs hardly have all of them.
_SETTINGS = {"output", "checkpoint_every_steps", "keep_checkpoints"}
_SECONDS_BETWEEN_DRAWINGS = 60


class _Line(TypedDict):
    """The required keys of a line of `metrics.jsonl` and `losses.jsonl`."""

    step: int


class RunDirectory:
    """The directory of one run.

        config.json      the settings
        checkpoints/     the state to resume from, until the run has finished; after it, in
                         pretraining with `--lr_schedule=wsd`, the state before the decay
        metrics.jsonl    a JSON object for every evaluation; null is NaN
        losses.jsonl     the training loss between evaluations, see `ReportMetrics`
        tensorboard/     the same values as TensorBoard's events
        curves.png       a plot of them
        best/            the best model so far, and that of each checkpoint, until the run has
                         finished
        model/           the trained model, when the run has finished

    Args:
        path: directory; created if it does not exist.
        settings: settings of the run, of JSON types.
        step: step to resume from; lines of later steps are dropped.
        stored: checkpoint to resume from; its copies of the metrics files are used instead of the
            current ones. None: there is no checkpoint.
        write: whether this process writes.

    Raises:
        InputError: the directory contains a finished run, or can't be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        settings: dict[str, Any],
        step: int = 0,
        *,
        stored: pathlib.Path | None = None,
        write: bool = True,
    ):
        self.path = pathlib.Path(path)
        refuse_finished(self.path)
        if not write:
            return
        with files.writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            files.write_json(self.path / CONFIG, settings)
            for name in (METRICS, LOSSES):
                source = stored if stored and files.exists(stored / name) else self.path
                lines = _read_lines(source / name) if step else []
                kept = [files.to_json(line) + "\n" for line in lines if line["step"] <= step]
                files.write_text(self.path / name, "".join(kept))

    @property
    def model(self) -> pathlib.Path:
        """Path of the trained model."""
        return self.path / MODEL

    @property
    def curves(self) -> pathlib.Path:
        """Path of the plot of the metrics."""
        return self.path / CURVES

    @property
    def best(self) -> pathlib.Path:
        """Directory of the best model so far."""
        return self.path / BEST

    def report(self, **values: Any) -> None:
        """Appends a line to `metrics.jsonl`."""
        self._append(METRICS, values)

    def reports(self) -> list[dict[str, Any]]:
        """Returns all lines of `metrics.jsonl`."""
        return self._lines(METRICS)

    def record_loss(self, **values: Any) -> None:
        """Appends a line to `losses.jsonl`."""
        self._append(LOSSES, values)

    def losses(self) -> list[dict[str, Any]]:
        """Returns all lines of `losses.jsonl`."""
        return self._lines(LOSSES)

    def _append(self, name: str, values: dict) -> None:
        path = self.path / name
        with files.writing(path), open(path, "a", encoding="utf-8") as file:
            file.write(files.to_json(values) + "\n")

    def _lines(self, name: str) -> list[dict]:
        return _read_lines(self.path / name)


def _read_lines(path: pathlib.Path) -> list[dict]:
    """Returns the JSON objects of a file, each with a step; none if there is no file."""
    if not files.exists(path):
        return []
    lines = []
    with files.open_text(path) as file:
        for number, text in enumerate(file, 1):
            if not text.endswith("\n"):  # a killed process may leave an incomplete line
                continue
            try:
                line = schema.parse(text, f"{path}: line {number}", _Line)
            except InputError as error:
                raise InputError(
                    f"{error}; repeat the command to resume from the last checkpoint, "
                    "which has a copy of this file"
                ) from None
            lines.append({k: math.nan if value is None else value for k, value in line.items()})
    return lines


def last_evaluation(path: pathlib.Path) -> int | None:
    """Returns the step of the last evaluation in a directory's `metrics.jsonl`.

    Args:
        path: directory of a run or of a checkpoint.

    Returns:
        The step; 0 if there is no line, None if there is no file.
    """
    if not files.exists(path / METRICS):
        return None
    lines = _read_lines(path / METRICS)
    return lines[-1]["step"] if lines else 0


def remove_leftovers(path: pathlib.Path, settings: dict[str, Any], permanent: int = 0) -> None:
    """Removes what a finished run would have removed, had it not been killed before.

    Args:
        path: directory of the run; one that has not finished is left as it is.
        settings: settings of the run; one with others is left as it is, too.
        permanent: step whose checkpoint stays; 0: none.
    """
    if files.exists(path / MODEL) and _settings(path / CONFIG) == settings:
        kept = step_directories.path_of(path / CHECKPOINTS, permanent)
        step_directories.remove_all(path / CHECKPOINTS, but=[kept])
        step_directories.remove_all(path / BEST)


def refuse_finished(path: pathlib.Path) -> None:
    """Raises `InputError` if a directory contains a finished run."""
    if files.exists(path / MODEL):
        raise InputError(
            f"{path}: this run is complete, and nothing is left to resume; its model is "
            f"{path / MODEL}. For a new run choose another --output, or remove this one"
        )


def refuse_foreign(path: pathlib.Path) -> None:
    """Raises `InputError` if a run at `path` would write or remove files that are not a run's.

    A directory with the settings or the checkpoints of a run is a run's, and other names than those
    of a run's files are no obstacle: a directory may contain the vocabulary and the corpus, too.
    """
    if foreign := _foreign(path):
        raise InputError(
            f"{path}: holds {foreign.relative_to(path)}, which no training run wrote, where a run "
            "has its own files; choose another --output"
        )


def _foreign(path: pathlib.Path) -> pathlib.Path | None:
    """Returns the first file in the way of a run, or None."""
    config = path / CONFIG
    if _settings(config).keys() >= _SETTINGS:
        return None
    if step_directories.newest_first(path / CHECKPOINTS):  # `Checkpoints` compares their settings
        return None
    for file in (path / name for name in WRITTEN):
        if files.exists(file):
            return file
    for directory in (path / CHECKPOINTS, path / BEST):
        for inside in sorted(directory.glob("[!.]*")):
            return inside
    return None


def _settings(config: pathlib.Path) -> dict:
    """Returns what `config.json` has; nothing if it is missing or damaged."""
    try:
        return files.read_json(config)
    except InputError:
        return {}


class ReportMetrics(keras.callbacks.Callback):
    """Writes the metrics of evaluations and the losses between them, and plots the curves.

    Args:
        run: run directory.
        title: title of the plot.
        loss_every: steps between two lines of `losses.jsonl`, such as
            `{"step": 20, "loss": 1.5, "examples": 640, "running_loss": 1.6}`: the mean loss since
            the previous line, the examples since the start of the run, and Keras's mean loss since
            the last evaluation.
        scores: names of metrics to plot, see `curves.draw`.
        baseline: scores of a constant answer, see `curves.draw`.
        same_loss: whether training and validation loss are comparable, see `curves.draw`.
    """

    def __init__(
        self,
        run: RunDirectory,
        title: str,
        *,
        loss_every: int = 1,
        scores: Iterable[str] = (),
        baseline: Mapping[str, float] | None = None,
        same_loss: bool = True,
    ):
        super().__init__()
        self.run = run
        self.title = title
        self.loss_every = loss_every
        self.scores = tuple(scores)
        self.baseline = baseline
        self.same_loss = same_loss
        self._start = time.monotonic()
        self._drawn = self._start
        self._events = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Records the loss every `loss_every` steps, and updates the plot about once a minute."""
        step = self._step = batch + 1
        if step % self.loss_every == 0:
            self._record(step, logs)
            if time.monotonic() - self._drawn > _SECONDS_BETWEEN_DRAWINGS:
                self._draw()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes step, seconds, counts and metrics of an evaluation, and updates the plot."""
        step = self._step
        if step % self.loss_every:
            self._record(step, logs)
        seconds = round(time.monotonic() - self._start, 3)
        counts = {name: int(logs[name]) for name in SEEN if name in logs}
        metrics = {name: float(value) for name, value in logs.items() if name not in SEEN}
        self.run.report(step=step, seconds=seconds, **counts, **metrics)
        self._write_events(step, {**counts, **metrics})
        self._draw()

    def _record(self, step: int, logs: dict) -> None:
        running, examples = float(logs["loss"]), int(logs["examples"])
        reports, losses = self.run.reports(), self.run.losses()
        # Keras's mean is reset after every evaluation. The values of earlier steps are read from
        # the files, so that a resumed run writes what an uninterrupted one would have written.
        begin = reports[-1] if reports else {"step": 0, "examples": 0}
        last = losses[-1] if losses and losses[-1]["step"] > begin["step"] else begin
        before = (last["examples"] - begin["examples"]) * last.get("running_loss", 0.0)
        total = (examples - begin["examples"]) * running
        loss = (total - before) / (examples - last["examples"])
        if math.isfinite(loss):
            self.run.record_loss(step=step, loss=loss, examples=examples, running_loss=running)
            self._write_events(step, {"training_loss": loss})

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        curves.draw(
            self.run.reports(),
            self.run.losses(),
            self.run.curves,
            self.title,
            scores=self.scores,
            baseline=self.baseline,
            same_loss=self.same_loss,
        )

    def _write_events(self, step: int, values: dict) -> None:
        path = self.run.path / EVENTS
        with files.writing(path):
            self._events = self._events or EventWriter(path)
            self._events.write(step, values)
