"""What watches training: progress bars, and Keras's callbacks without waiting for the device.

On a terminal bars move, in a log they are a line now and then.
"""

import contextlib
import math
import sys
import time
from collections.abc import Iterator

import keras
from tqdm import tqdm

from kerasbert.errors import one_line

_SECONDS_BETWEEN_LOG_LINES = 15
# To look at what a step has found is to wait for the device.
_STEPS_BETWEEN_LOOKS = 50
_SECONDS_BETWEEN_LOOKS = 5
_SECONDS_UNTIL_SHOWN = {True: 2, False: _SECONDS_BETWEEN_LOG_LINES}  # on a terminal, in a log

# Of `progress_bar`; the innermost is the last.
_bars: list["ProgressBar"] = []


def log(line: str) -> None:
    """One line to standard error, where the bar is too."""
    print(one_line(line), file=sys.stderr, flush=True)


class ProgressBar(tqdm):
    """tqdm's bar with rate and time left, on standard error.

    Args:
        description: what is being done.
        total: units in all; None: not known.
        unit: what is counted.
        passing: whether it is shown only if it lasts, and leaves nothing on a terminal.
    """

    def __init__(self, description: str, total: int | None, unit: str, *, passing: bool = False):
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
            delay=_SECONDS_UNTIL_SHOWN[terminal] if passing else 0,
            leave=not passing,
        )

    @staticmethod
    def status_printer(file):
        """Prints over the last line on a terminal, and a new line elsewhere."""
        if file.isatty():
            return tqdm.status_printer(file)
        return lambda line: line and print(line, file=file, flush=True)


class RunCallbacks(keras.callbacks.CallbackList):
    """The callbacks of a run, which may call `fit` several times, for steps one after the other.

    `on_train_batch_end` gets the number of the batch in the run, and logs as tensors. Who makes a
    number of one waits until the device has finished the step; Keras's own list does so every time,
    so that a GPU has nothing to do until the next step is on its way.

    Args:
        callbacks: those of the run.
        model: what is trained.
        first: the number of the first batch.
    """

    def __init__(self, callbacks: list[keras.callbacks.Callback], model: keras.Model, first: int):
        super().__init__(callbacks, add_history=True, model=model)
        self.first = first

    def on_train_batch_end(self, batch, logs=None):
        """Tells all of them."""
        for callback in self.callbacks:
            callback.on_train_batch_end(self.first + batch, logs)


@contextlib.contextmanager
def progress_bar(description: str) -> Iterator[None]:
    """Shows, if it takes long, how many examples tasks answer as long as this context lasts.

    Args:
        description: what is being done.
    """
    bar = ProgressBar(description, None, "example", passing=True)
    _bars.append(bar)
    try:
        yield
    finally:
        _bars.remove(bar)
        bar.close()


def advance(count: int) -> None:
    """Moves the bar of `progress_bar`, if there is one: so many more examples are answered."""
    if _bars:
        _bars[-1].update(count)


class EvaluationProgress(keras.callbacks.Callback):
    """Moves the bar of `progress_bar` while Keras evaluates.

    Args:
        batch_size: examples of a batch.
    """

    def __init__(self, batch_size: int):
        super().__init__()
        self.batch_size = batch_size

    def on_test_batch_end(self, batch, logs=None):
        """A batch more."""
        advance(self.batch_size)


def is_sync_step(model: keras.Model, step: int) -> bool:
    """Whether it is time, after this step of a run, to wait for what the device has found."""
    return step % _STEPS_BETWEEN_LOOKS < model.steps_per_execution


class TrainingBar(keras.callbacks.Callback):
    """A bar over the steps of a run, with loss and examples and tokens/s; see `RunCallbacks`.

    Args:
        description: what is being done.
        steps: training steps in all.
    """

    def __init__(self, description: str, steps: int):
        super().__init__()
        self.bar = ProgressBar(description, steps, "step")
        self._first = None
        self._looked = -math.inf

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        step, now = batch + 1, time.monotonic()
        late = now - self._looked >= _SECONDS_BETWEEN_LOOKS
        if late or is_sync_step(self.model, step):
            self.bar.set_postfix_str(self._state(logs or {}), refresh=False)
            self._looked = now
        self.bar.update(step - self.bar.n)

    def _state(self, logs: dict) -> str:
        parts = [f"loss {float(logs['loss']):.3f}"] if "loss" in logs else []
        if "tokens" in logs:
            now = time.monotonic(), int(logs["examples"]), int(logs["tokens"])
            self._first = self._first or now  # the first step compiles
            seconds, examples, tokens = (a - b for a, b in zip(now, self._first, strict=True))
            if seconds > 0:
                parts += [
                    f"{examples / seconds:,.0f} examples/s",
                    f"{tokens / seconds:,.0f} tokens/s",
                ]
        return ", ".join(parts)

    def close(self):
        """Leaves the bar's last state on the terminal."""
        self.bar.close()
