"""Saving the best model of a run, and early stopping."""

import math
import os
import pathlib
from typing import Any

import keras

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.training import step_directories
from kerasbert.training.optimizers import averaged_weights
from kerasbert.training.run_directory import CHECKPOINTS, RunDirectory

# Suffixes of metrics to minimize; all others are maximized.
_LESS_IS_BETTER = ("loss", "error", "perplexity", "mse", "mae")


class SaveBestModel(keras.callbacks.Callback):
    """Saves the model of the evaluation with the best value of a metric.

    Args:
        run: run directory with the metrics, where the model is saved.
        metric: name of a metric, such as `val_accuracy`. Losses, errors and perplexity are
            minimized, all others are maximized; NaN is never an improvement.
        patience: number of evaluations without improvement after which `stop_training` is True; 0:
            never.
        after: step after which evaluations count; earlier ones are of the run that is continued.
    """

    model: Any  # Keras sets it

    def __init__(self, run: RunDirectory, metric: str, patience: int = 0, after: int = 0):
        super().__init__()
        self.run = run
        self.metric = metric
        self.patience = patience
        self.after = after

    def _reports(self) -> list[dict]:
        return [report for report in self.run.reports() if report["step"] > self.after]

    @property
    def report(self) -> dict[str, Any]:
        """The metrics of the best evaluation so far."""
        reports = self._reports()
        return reports[self._place(reports)]

    @property
    def stop_training(self) -> bool:
        """Whether the last `patience` evaluations brought no improvement."""
        reports = self._reports()
        if not reports or not self.patience:
            return False
        return len(reports) - 1 - self._place(reports) >= self.patience

    def _place(self, reports: list[dict]) -> int:
        for report in reports:
            if self.metric not in report:
                known = ", ".join(name for name in report if name not in ("step", "seconds"))
                raise InputError(
                    f"there is no metric {self.metric!r} to monitor; there are {known}"
                )
        sign = 1 if self.metric.endswith(_LESS_IS_BETTER) else -1
        values = [sign * report[self.metric] for report in reports]
        # The correlation of constant predictions is NaN, which counts as the worst value.
        values = [math.inf if math.isnan(value) else value for value in values]
        return values.index(min(values))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Saves the model if this evaluation is the best."""
        path = step_directories.path_of(self.run.best, self.run.reports()[-1]["step"])
        step_directories.remove(path)  # it exists if a killed run repeats this step
        if path != self.path:
            return
        with averaged_weights(self.model):
            self.model.save_to_preset(path)
        self._remove_old()

    def _remove_old(self) -> None:
        """Removes the models but the best so far, and the best up to each checkpoint.

        A run that resumes from a checkpoint may find no better model than that one again.
        """
        newest_first = step_directories.newest_first(self.run.best)
        needed = {self.path}
        for checkpoint in step_directories.newest_first(self.run.path / CHECKPOINTS):
            needed.update([path for path in newest_first if path.name <= checkpoint.name][:1])
        step_directories.remove_all(self.run.best, but=needed)

    @property
    def path(self) -> pathlib.Path:
        """Path of the best model so far."""
        return step_directories.path_of(self.run.best, self.report["step"])

    def move_to(self, path: str | os.PathLike[str]) -> None:
        """Moves the best model to `path`."""
        files.move(self.path, path)
        step_directories.remove_all(self.run.best)
