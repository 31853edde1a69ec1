"""The best model of a run, and when there is no hope of a better one."""

import math
import shutil

import keras

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.training.optimizers import averaged_weights
from kerasbert.training.run_directory import RunDirectory

# Of a metric's name the last part; of all others more is better.
_LESS_IS_BETTER = ("loss", "error", "perplexity", "mse", "mae")


class SaveBestModel(keras.callbacks.Callback):
    """Keeps the model of the report in which a metric is best, and counts those since.

    Args:
        run: where reports and model are.
        metric: a name in the reports, such as `val_accuracy`; of losses, errors and perplexity the
            smallest is the best; NaN is never better.
        patience: reports without a better one after which it is `stop_training`; 0: never.
    """

    def __init__(self, run: RunDirectory, metric: str, patience: int = 0):
        super().__init__()
        self.run = run
        self.metric = metric
        self.patience = patience

    @property
    def report(self) -> dict:
        """The best report so far."""
        reports = self.run.reports()
        return reports[self._place(reports)]

    @property
    def stop_training(self) -> bool:
        """Whether the best report is as far back as patience reaches."""
        reports = self.run.reports()
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
        # A correlation of answers that are all the same is NaN: no report is worse.
        values = [math.inf if math.isnan(value) else value for value in values]
        return values.index(min(values))

    def on_epoch_end(self, epoch, logs=None):
        """Keeps the model if this report is the best."""
        report = self.run.reports()[-1]
        if report["step"] != self.report["step"]:
            return
        path = self.run.best / f"step-{report['step']:010d}"
        shutil.rmtree(path, ignore_errors=True)  # of a run that was killed and has come here again
        with averaged_weights(self.model):
            self.model.save_to_preset(path)
        for other in self.run.best.iterdir():
            if other != path:
                files.remove(other)

    def move_to(self, path) -> None:
        """Puts the best model in its final place."""
        files.move(self.run.best / f"step-{self.report['step']:010d}", path)
        shutil.rmtree(self.run.best)
