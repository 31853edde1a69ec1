"""Progress bars: on a terminal they move, in a log they are a line now and then."""

import sys

import keras
from tqdm import tqdm

_SECONDS_BETWEEN_LOG_LINES = 15


class Bar(tqdm):
    """tqdm's bar with rate and time left, on standard error.

    Args:
        description: what is being done.
        total: units in all; None: not known.
        unit: what is counted.
    """

    def __init__(self, description: str, total: int | None, unit: str):
        terminal = sys.stderr.isatty()
        super().__init__(
            desc=description,
            total=total,
            unit=f" {unit}",
            unit_scale=unit != "step",
            file=sys.stderr,
            mininterval=0.2 if terminal else _SECONDS_BETWEEN_LOG_LINES,
            maxinterval=1 if terminal else _SECONDS_BETWEEN_LOG_LINES,
            ascii=not terminal,
            dynamic_ncols=terminal,
            miniters=None if terminal else 1,
        )

    @staticmethod
    def status_printer(file):
        """Prints over the last line on a terminal, and a new line elsewhere."""
        if file.isatty():
            return tqdm.status_printer(file)
        return lambda line: line and print(line, file=file, flush=True)


class TrainingBar(keras.callbacks.Callback):
    """A bar over the steps of one or more calls of `fit`.

    Args:
        description: what is being done.
        steps: training steps in all.
    """

    def __init__(self, description: str, steps: int):
        super().__init__()
        self.bar = Bar(description, steps, "step")

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        done = int(self.model.optimizer.iterations.numpy())
        if logs and "loss" in logs:
            self.bar.set_postfix_str(f"loss {float(logs['loss']):.3f}", refresh=False)
        self.bar.update(done - self.bar.n)

    def on_train_end(self, logs=None):
        """Leaves the bar's last state."""
        if self.bar.n >= self.bar.total:
            self.bar.close()
