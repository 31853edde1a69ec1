"""Progress bars: on a terminal they move, in a log they are a line now and then."""

import sys
import time

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
    """A bar over the steps of one or more calls of `fit`, with loss and examples and tokens/s.

    Args:
        description: what is being done.
        steps: training steps in all.
    """

    def __init__(self, description: str, steps: int):
        super().__init__()
        self.bar = Bar(description, steps, "step")
        self._first = None

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        done = int(self.model.optimizer.iterations.numpy())
        self.bar.set_postfix_str(self._state(logs or {}), refresh=False)
        self.bar.update(done - self.bar.n)

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
