"""What a training run writes: its settings, its metrics, its curves."""

import json
import os
import pathlib
import time

import keras

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.training import curves
from kerasbert.training.global_batch import SEEN

CONFIG, METRICS, CURVES, MODEL = "config.json", "metrics.jsonl", "curves.png", "model"
EVENTS, BEST = "tensorboard", "best"


class RunDirectory:
    """The directory of one run.

        config.json      the settings
        checkpoints/     the state to go on from
        metrics.jsonl    a JSON object for every report
        tensorboard/     the same as TensorBoard's events
        curves.png       their picture
        best/            the model of the best report, until the run has ended
        model/           the trained model, when the run has ended well

    Args:
        path: created if it is not there.
        settings: what the run was started with; JSON types.
        step: the step that the run goes on from; reports of later steps are dropped.
        write: whether this process is the one that writes.

    Raises:
        InputError: it holds the model of a finished run already, or can't be written.
    """

    def __init__(
        self, path: str | os.PathLike, settings: dict, step: int = 0, *, write: bool = True
    ):
        self.path = pathlib.Path(path)
        refuse_finished(self.path)
        if not write:
            return
        with files.writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            files.write_json(self.path / CONFIG, settings)
            kept = [report for report in self.reports() if report["step"] <= step]
            lines = "".join(json.dumps(report) + "\n" for report in kept)
            files.write_text(self.path / METRICS, lines)

    @property
    def model(self) -> pathlib.Path:
        """Where the finished model goes."""
        return self.path / MODEL

    @property
    def curves(self) -> pathlib.Path:
        """Where the picture of the metrics goes."""
        return self.path / CURVES

    @property
    def best(self) -> pathlib.Path:
        """Where the best model so far is."""
        return self.path / BEST

    def report(self, **values) -> None:
        """Appends one line to the metrics."""
        path = self.path / METRICS
        with files.writing(path), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def reports(self) -> list[dict]:
        """All lines of the metrics."""
        if not (self.path / METRICS).exists():
            return []
        with open(self.path / METRICS, encoding="utf-8") as file:
            # A process that was killed may have left half a line.
            return [json.loads(line) for line in file if line.endswith("\n")]


def refuse_finished(path: pathlib.Path) -> None:
    """Raises `InputError` if the run in a directory has ended."""
    if (path / MODEL).exists():
        raise InputError(
            f"{path / MODEL} exists already: that run has ended; "
            "choose another --output or remove it"
        )


class ReportMetrics(keras.callbacks.Callback):
    """Writes every epoch's metrics to a run directory, and draws the curves anew.

    Args:
        run: the run directory.
        title: over the picture.
    """

    def __init__(self, run: RunDirectory, title: str):
        super().__init__()
        self.run = run
        self.title = title
        self._start = time.monotonic()
        self._events = None

    def on_epoch_end(self, epoch, logs=None):
        """Reports step, seconds and metrics."""
        step = int(self.model.optimizer.iterations.numpy())
        seconds = round(time.monotonic() - self._start, 3)
        counts = {name: int(logs[name]) for name in SEEN if name in logs}
        metrics = {name: float(value) for name, value in logs.items() if name not in SEEN}
        self.run.report(step=step, seconds=seconds, **counts, **metrics)
        self._write_events(step, {**counts, **metrics})
        with files.writing(self.run.curves):
            curves.draw(self.run.reports(), self.run.curves, self.title)

    def _write_events(self, step: int, values: dict) -> None:
        import tensorflow as tf

        self._events = self._events or tf.summary.create_file_writer(str(self.run.path / EVENTS))
        # `tf.summary.scalar` needs TensorBoard's package; its files don't.
        summary = tf.compat.v1.Summary()
        for name, value in values.items():
            summary.value.add(tag=name, simple_value=value)
        with self._events.as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step)
        self._events.flush()
