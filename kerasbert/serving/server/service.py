"""What both APIs of a server do with a request: check it, let it be computed, count it."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerasbert.serving import signatures
from kerasbert.serving.server import costs
from kerasbert.serving.server.batching import Batcher, joined
from kerasbert.serving.server.errors import RequestError, invalid
from kerasbert.serving.server.metrics import Metrics
from kerasbert.serving.server.models import Models
from kerasbert.serving.server.versions import Model

_ATTENTION = "attention"


class Service:
    """Answers requests.

    Args:
        models: the models.
        batcher: what computes rows.
        metrics: where requests are counted.
        max_text_bytes: the longest string that is read.
        max_rows: the most rows of a request, where each choice counts.
    """

    def __init__(
        self,
        models: Models,
        batcher: Batcher,
        metrics: Metrics,
        *,
        max_text_bytes: int,
        max_rows: int,
    ):
        self.models, self.metrics = models, metrics
        self._batcher = batcher
        self._max_text_bytes, self._max_rows = max_text_bytes, max_rows

    async def predict(
        self, model: Model, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Returns the outputs by name.

        Raises:
            RequestError: the inputs are not those of the signature, are too large, or the queue is
                full.
        """
        self._check(model, signature, inputs)
        tokens = costs.of_rows(inputs, model.metadata)
        if not costs.are_cut(inputs, model.metadata):
            _check_tokens(tokens)
        if signature == _ATTENTION:
            # The square of the tokens comes back, for each head: a row fills a batch.
            tokens = [max(number, self._batcher.batch_tokens) for number in tokens]
        order = np.argsort(tokens, kind="stable")  # short rows must not be computed as wide as long
        sorted_inputs = {name: value[order] for name, value in inputs.items()}
        futures = self._batcher.submit(model.computation(signature), sorted_inputs, sorted(tokens))
        try:
            parts = await asyncio.gather(*map(asyncio.wrap_future, futures))
        except tf.errors.InvalidArgumentError as error:
            raise invalid(error.message) from None
        return joined(parts, order)

    def _check(self, model: Model, signature: str, inputs: Mapping[str, np.ndarray]) -> None:
        """Raises `RequestError` for other names, types, shapes and sizes than the model takes."""
        check_names(model, signature, inputs)
        wanted = model.signature(signature).inputs
        for name, value in inputs.items():
            dtype = tf.as_dtype(wanted[name].dtype)
            if value.dtype != dtype.as_numpy_dtype:
                raise invalid(f"{name} must be {dtype.name}, found {value.dtype}")
            shape = signatures.shape(wanted[name])
            if len(shape) != value.ndim or any(
                size not in (None, found) for size, found in zip(shape, value.shape, strict=True)
            ):
                sizes = ", ".join("any" if size is None else str(size) for size in shape)
                raise invalid(f"{name} must have the shape ({sizes}), found {value.shape}")
        rows = {len(value) for value in inputs.values()}
        if len(rows) != 1:
            raise invalid(f"all inputs must have the same number of rows, found {sorted(rows)}")
        if signature == _ATTENTION and rows != {1}:
            raise invalid(f"{_ATTENTION} takes one row per request, found {max(rows)}")
        self.check_rows(max(rows))
        self.check_rows(costs.sequences(inputs), "choices")
        for name, value in inputs.items():
            self._check_texts(name, value)

    def check_rows(self, number: int, kind: str = "rows") -> None:
        """Raises `RequestError` if there are too many rows, or choices of all rows."""
        if number > self._max_rows:
            raise invalid(f"there are {number:,} {kind}; at most {self._max_rows:,} are taken")

    def _check_texts(self, name: str, value: np.ndarray) -> None:
        longest = max(map(len, value.flat), default=0) if value.dtype == object else 0
        if longest > self._max_text_bytes:
            raise invalid(
                f"{name}: a string has {longest:,} bytes; at most {self._max_text_bytes:,} are read"
            )

    @contextlib.contextmanager
    def counted(self, api: str) -> Iterator[None]:
        """Context of a request, which is counted with its time and its status."""
        begin, status = time.monotonic(), "INTERNAL"
        try:
            yield
            status = "OK"
        except RequestError as error:
            status = error.code
            raise
        except asyncio.CancelledError:  # the client has gone
            status = "CANCELLED"
            raise
        finally:
            self.metrics.requests.add(api, status)
            self.metrics.latency.add(time.monotonic() - begin)


def check_names(model: Model, signature: str, names: Iterable[str]) -> None:
    """Raises `RequestError` for other names of inputs than those of the signature."""
    wanted, found = (sorted(each) for each in (model.signature(signature).inputs, names))
    if found != wanted:
        raise invalid(f"takes the inputs {', '.join(wanted)}, found {', '.join(found)}")


def _check_tokens(tokens: Sequence[int]) -> None:
    """Raises `RequestError` for a row that is too large to be computed at once."""
    most = max(tokens, default=0)
    if most > costs.MOST_TOKENS:
        raise invalid(
            f"a row may have {most:,} tokens, in all of its choices or chunks; at most "
            f"{costs.MOST_TOKENS:,} are computed"
        )
