"""Rows of many requests are computed together, in batches of a number of tokens."""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kerasbert.serving.server.background import THREADS
from kerasbert.serving.server.errors import RequestError
from kerasbert.serving.server.metrics import Gauge, Metrics

_LONG = 16  # a row is long if so few of them fill a batch


@dataclasses.dataclass(eq=False)
class _Task:
    """Rows of one request that belong into one batch."""

    inputs: Mapping[str, np.ndarray]
    rows: int
    longest: int
    result: concurrent.futures.Future = dataclasses.field(default_factory=concurrent.futures.Future)
    since: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def tokens(self) -> int:
        """The tokens that are computed, with padding."""
        return self.rows * self.longest


class Batcher:
    """Threads that compute batches of the rows that wait.

    A batch has rows of similar length, of the same model, signature and shape. A thread takes the
    oldest rows as soon as it is free, so that requests gather under load and nothing waits without.
    One thread, if there are several, is kept for short rows, so that they never wait until long
    ones are computed.

    Args:
        metrics: where rows and sizes are counted.
        batch_tokens: the most tokens of a batch: its rows times the longest one. A longer row is a
            batch of its own.
        queue_tokens: the most tokens that may wait; further requests are refused.
        num_threads: batches that are computed at the same time.
    """

    def __init__(self, metrics: Metrics, batch_tokens: int, queue_tokens: int, num_threads: int):
        self._metrics = metrics
        #: As given.
        self.batch_tokens = batch_tokens
        self._queue_tokens = queue_tokens
        self._waiting: dict[tuple, collections.deque[_Task]] = {}
        self._tokens = self._long_running = 0
        self._changed, self._closed = threading.Condition(), False
        metrics.add(
            Gauge(
                "kerasbert_queue_tokens",
                "Tokens that wait for a batch.",
                lambda: {(): self._tokens},
            )
        )
        self._num_threads = num_threads
        self._threads = [
            threading.Thread(target=self._work, name=f"{THREADS}batches-{number}", daemon=True)
            for number in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        compute: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        inputs: Mapping[str, np.ndarray],
        tokens: Sequence[int],
    ) -> list[concurrent.futures.Future]:
        """Puts the rows of a request into the queue.

        Args:
            compute: function from inputs to outputs, the same object for the same model and
                signature.
            inputs: arrays of the same number of rows, best in the order of their lengths: short
                rows next to a long one count as long.
            tokens: upper bound of the tokens of each row.

        Returns:
            A future for each part of the request, in order: its outputs.

        Raises:
            RequestError: the queue is full, or closed.
        """
        shapes = tuple((name, value.shape[1:]) for name, value in sorted(inputs.items()))
        parts = []
        for begin, end in _parts(tokens, self.batch_tokens):
            longest = max(tokens[begin:end], default=1)
            own = {name: value[begin:end] for name, value in inputs.items()}
            task = _Task(own, end - begin, longest)
            is_long = longest * _LONG > self.batch_tokens
            parts.append(((compute, shapes, is_long, longest.bit_length()), task))
        total = sum(task.tokens for _, task in parts)
        with self._changed:
            if self._closed:
                raise RequestError("UNAVAILABLE", "the server is stopping")
            # A request that is larger than the queue is taken if nothing waits.
            if self._tokens and self._tokens + total > self._queue_tokens:
                raise RequestError(
                    "RESOURCE_EXHAUSTED", "the queue is full; send the request again later"
                )
            self._tokens += total
            for key, task in parts:
                self._waiting.setdefault(key, collections.deque()).append(task)
            self._changed.notify(len(parts))
        return [task.result for _, task in parts]

    def close(self, seconds: float | None = None) -> None:
        """Refuses further requests, and returns when those that wait are computed.

        Args:
            seconds: how long to wait for that; what still waits then is dropped. None: as long as
                it takes.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        end = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))
        self._drop()

    def _drop(self) -> None:
        """Refuses what waits."""
        with self._changed:
            left = [task for queue in self._waiting.values() for task in queue]
            self._waiting.clear()
            self._tokens = 0
            self._changed.notify_all()
        for task in left:
            if task.result.set_running_or_notify_cancel():
                task.result.set_exception(RequestError("UNAVAILABLE", "the server has stopped"))

    def _work(self) -> None:
        while True:
            with self._changed:
                while (key := self._next_key()) is None:
                    if self._closed and not self._waiting:
                        return
                    self._changed.wait()
                batch = self._take(key)
                self._long_running += key[2]
            try:
                # From here on, a request can't be canceled, so that its result can be set.
                batch = [task for task in batch if task.result.set_running_or_notify_cancel()]
                if batch:
                    self._compute(key[0], batch)
            finally:
                with self._changed:
                    self._long_running -= key[2]
                    self._changed.notify_all()

    def _next_key(self) -> tuple | None:
        """Returns the key of the oldest rows that this thread may take."""
        no_long = self._num_threads > 1 and self._long_running >= self._num_threads - 1
        free = [key for key in self._waiting if not (no_long and key[2])]
        return min(free, key=lambda key: self._waiting[key][0].since, default=None)

    def _take(self, key: tuple) -> list[_Task]:
        queue, batch, rows, longest = self._waiting[key], [], 0, 0
        while queue:
            rows, longest = rows + queue[0].rows, max(longest, queue[0].longest)
            if batch and rows * longest > self.batch_tokens:
                break
            batch.append(queue.popleft())
        if not queue:
            del self._waiting[key]
        self._tokens -= sum(task.tokens for task in batch)
        return batch

    def _compute(self, compute: Callable, batch: list[_Task]) -> None:
        try:
            names = batch[0].inputs
            joined = {name: np.concatenate([task.inputs[name] for task in batch]) for name in names}
            outputs = compute(joined)
        except Exception as error:
            if len(batch) == 1:
                batch[0].result.set_exception(error)
                return
            for task in batch:  # one of them is to blame
                self._compute(compute, [task])
            return
        begin = 0
        for task in batch:
            end = begin + task.rows
            task.result.set_result({name: value[begin:end] for name, value in outputs.items()})
            begin = end
        self._metrics.rows.add(amount=begin)
        self._metrics.batch_rows.add(begin)


def _parts(tokens: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Cuts rows into parts of at most `most` tokens, rows times the longest one.

    Returns:
        Their begins and ends.
    """
    parts, begin, longest = [], 0, 0
    for end, number in enumerate(tokens):
        longest = max(longest, number)
        if end > begin and (end + 1 - begin) * longest > most:
            parts.append((begin, end))
            begin, longest = end, number
    return [*parts, (begin, len(tokens))]


def joined(parts: Sequence[Mapping[str, np.ndarray]], order: np.ndarray) -> dict[str, Any]:
    """Joins the outputs of a request's parts; narrower ones are padded with 0 or "".

    A model may pad the ids of tokens with another number; the output `lengths` says what counts.

    Args:
        parts: the outputs of each part.
        order: the number of each row in the request; rows are returned in the request's order.
    """
    rows = np.argsort(order)
    return {name: _stacked([part[name] for part in parts])[rows] for name in parts[0]}


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    widths = np.max([array.shape[1:] for array in arrays], axis=0).astype(int)
    fill = b"" if arrays[0].dtype == object else 0
    padded = [
        np.pad(
            array,
            [(0, 0), *((0, w - n) for w, n in zip(widths, array.shape[1:], strict=True))],
            constant_values=fill,
        )
        for array in arrays
    ]
    return np.concatenate(padded)
