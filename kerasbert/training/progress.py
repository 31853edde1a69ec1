"""Progress bars, and Keras's callbacks without waiting for the device after every step.

On a terminal and in a notebook a bar is redrawn; in a log file it is a new line every few seconds.
"""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
from tqdm import tqdm

from kerasbert.errors import one_line

_SECONDS_BETWEEN_LOG_LINES = 15
# Converting a log to a number waits for the device.
_STEPS_BETWEEN_LOOKS = 50
_SECONDS_BETWEEN_LOOKS = 5
_SECONDS_UNTIL_SHOWN = {True: 2, False: _SECONDS_BETWEEN_LOG_LINES}  # on a terminal, in a log

# The bars of `progress_bar`, innermost last.
_bars: list["ProgressBar"] = []


def redraws(file: Any) -> bool:
    """Whether what is printed to a file can be overwritten: on a terminal, and in a notebook."""
    return file.isatty() or "ipykernel" in sys.modules


def log(line: str) -> None:
    """Prints a line to standard error, as the progress bars do."""
    print(one_line(line), file=sys.stderr, flush=True)


class ProgressBar(tqdm):
    """tqdm's bar with rate and remaining time, on standard error.

    Args:
        description: label of the bar.
        total: number of units; None: unknown.
        unit: name of a unit.
        passing: whether the bar is shown only after some seconds, and cleared when it is closed.
        first: number of units that were done before, which do not count in the rate.
    """

    def __init__(
        self,
        description: str,
        total: int | None,
        unit: str,
        *,
        passing: bool = False,
        first: int = 0,
    ):
        terminal = redraws(sys.stderr)
        super().__init__(
            desc=description,
            total=total,
            initial=first,
            unit=f" {unit}",
            unit_scale=unit != "step",
            file=sys.stderr,
            mininterval=0.2 if terminal else _SECONDS_BETWEEN_LOG_LINES,
            maxinterval=1 if terminal else _SECONDS_BETWEEN_LOG_LINES,
            ascii=not terminal,
            dynamic_ncols=sys.stderr.isatty(),
            miniters=None if terminal else 1,
            delay=_SECONDS_UNTIL_SHOWN[terminal] if passing else 0,
            leave=not passing,
        )

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        """Returns a function that overwrites the line on a terminal, or prints a new one."""
        if redraws(file):
            return tqdm.status_printer(file)
        return lambda line: print(line, file=file, flush=True) if line else None


class RunCallbacks(keras.callbacks.CallbackList):
    """The callbacks of a run that calls `fit` several times, for consecutive steps.

    `on_train_batch_end` receives the index of the batch in the run, and logs as tensors. Converting
    a tensor to a number waits until the device has finished the step. Keras's own list does so
    after every step, so that a GPU is idle until the next step is launched.

    Args:
        callbacks: callbacks of the run.
        model: model that is trained.
        first: index in the run of this `fit`'s first batch.
    """

    def __init__(self, callbacks: list[keras.callbacks.Callback], model: keras.Model, first: int):
        super().__init__(callbacks, add_history=True, model=model)
        self.first = first

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Calls every callback with the index of the batch in the run."""
        for callback in self.callbacks:
            callback.on_train_batch_end(self.first + batch, logs)


@contextlib.contextmanager
def progress_bar(description: str) -> Iterator[None]:
    """Shows a progress bar of the examples that tasks predict in this context, if it takes long.

    Args:
        description: label of the bar.
    """
    bar = ProgressBar(description, None, "example", passing=True)
    _bars.append(bar)
    try:
        yield
    finally:
        _bars.remove(bar)
        bar.close()


def advance(count: int) -> None:
    """Advances the innermost bar of `progress_bar`, if there is one, by `count` examples."""
    if _bars:
        _bars[-1].update(count)


def with_bar(batches: Iterator[Any], steps: int, verbose: int | str) -> Iterator[Any]:
    """Yields batches; unless `verbose` is 0, with the progress bar of Keras's `predict`."""
    if not verbose:
        yield from batches
        return
    mode = verbose if isinstance(verbose, int) else 1
    bar = keras.utils.Progbar(steps, verbose=mode, unit_name="step")
    for step, batch in enumerate(batches, start=1):
        bar.update(step, finalize=step == steps)
        yield batch


class EvaluationProgress(keras.callbacks.Callback):
    """Advances the bar of `progress_bar` while Keras evaluates.

    Args:
        batch_size: number of examples in a batch.
    """

    def __init__(self, batch_size: int):
        super().__init__()
        self.batch_size = batch_size

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advances the bar by a batch."""
        advance(self.batch_size)


def is_sync_step(model: keras.Model, step: int) -> bool:
    """Returns whether to read values from the device after this step, about every 50 steps."""
    return step % _STEPS_BETWEEN_LOOKS < model.steps_per_execution


class TrainingBar(keras.callbacks.Callback):
    """A progress bar of training steps, with loss, examples/s and tokens/s; see `RunCallbacks`.

    Args:
        description: label of the bar.
        steps: total number of training steps.
        first: number of steps before this process's, if it resumes a run.
    """

    model: Any  # Keras sets it

    def __init__(self, description: str, steps: int, first: int = 0):
        super().__init__()
        self.bar = ProgressBar(description, steps, "step", first=first)
        self._first = None
        self._looked = -math.inf

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advances the bar."""
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
            self._first = self._first or now  # excludes the first step, which compiles
            seconds, examples, tokens = (a - b for a, b in zip(now, self._first, strict=True))
            if seconds > 0:
                parts += [
                    f"{examples / seconds:,.0f} examples/s",
                    f"{tokens / seconds:,.0f} tokens/s",
                ]
        return ", ".join(parts)

    def close(self) -> None:
        """Closes the bar, which stays on the terminal."""
        self.bar.close()
