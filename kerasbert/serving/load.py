"""Measures a server under load: latencies, rows per second, errors."""

import collections
import concurrent.futures
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasbert.errors import InputError
from kerasbert.features import LIST_COLUMNS

_PERCENTILES = (50, 95, 99)
#: The longest texts, in words, of the groups that are reported.
_GROUPS = (16, 64)


def measure(
    client: Callable[..., list[dict[str, Any]]],
    inputs: Sequence[str],
    texts: Sequence[str],
    *,
    num_clients: int = 16,
    seconds: float = 10.0,
    warm_up_seconds: float = 0.0,
    rows: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """Asks with texts at random, each client one request after the other.

    The first request of each client is never counted: a model that was just loaded builds its
    kernels then, which can take longer than the whole test, and connections are opened.

    Args:
        client: a `RestClient` or `GrpcClient`, without retries, so that refusals are counted; or a
            `SavedModelClient`, to compare with.
        inputs: the names of the model's inputs.
        texts: texts of the lengths that users send.
        num_clients: requests at the same time.
        seconds: duration.
        warm_up_seconds: time before that, whose answers are not counted; errors are. Each client
            asks at least once then.
        rows: rows of a request.
        seed: seed for the choice of texts.

    Returns:
        A dict with `requests`, `rows_per_second`, `milliseconds` (percentiles of answered
        requests), the same `by_words` of the longest text of a request, and `errors`, the number of
        each message.
    """
    if not texts:
        raise InputError("a load test needs at least one text")
    choosers = [random.Random(f"{seed} {number}") for number in range(num_clients)]
    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:

        def ask(seconds: float) -> tuple[list[tuple[int, float]], collections.Counter]:
            end = time.monotonic() + seconds
            clients = [
                pool.submit(_ask_until, end, client, inputs, texts, rows, chooser)
                for chooser in choosers
            ]
            found = [one.result() for one in clients]
            errors = sum((errors for _, errors in found), collections.Counter())
            return [answer for times, _ in found for answer in times], errors

        _, early_errors = ask(warm_up_seconds)
        begin = time.monotonic()
        times, errors = ask(seconds)
        elapsed = time.monotonic() - begin
    errors += early_errors
    return {
        "requests": len(times) + errors.total(),
        "rows_per_second": round(len(times) * rows / elapsed, 1),
        "milliseconds": _percentiles([seconds for _, seconds in times]),
        "by_words": _by_words(times),
        "errors": dict(errors),
    }


def _ask_until(
    end: float,
    client: Callable[..., list[dict]],
    inputs: Sequence[str],
    texts: Sequence[str],
    rows: int,
    chooser: random.Random,
) -> tuple[list[tuple[int, float]], collections.Counter]:
    """Asks at least once; returns words and seconds of each answer, and the errors."""
    times, errors = [], collections.Counter()
    while True:
        columns: dict[str, list] = {name: chooser.choices(texts, k=rows) for name in inputs}
        longest = max(len(text.split()) for column in columns.values() for text in column)
        for name in set(inputs) & set(LIST_COLUMNS):
            columns[name] = [[text, text] for text in columns[name]]
        begin = time.monotonic()
        try:
            client(**columns)
        except (InputError, OSError) as error:
            errors[str(error)] += 1
        else:
            times.append((longest, time.monotonic() - begin))
        if time.monotonic() >= end:
            return times, errors


def _by_words(times: Sequence[tuple[int, float]]) -> dict:
    groups = collections.defaultdict(list)
    for words, seconds in times:
        bound = next((f"up to {bound}" for bound in _GROUPS if words <= bound), "more")
        groups[bound].append(seconds)
    order = [*(f"up to {bound}" for bound in _GROUPS), "more"]
    return {name: _percentiles(groups[name]) for name in order if name in groups}


def _percentiles(times: Sequence[float]) -> dict[str, float]:
    if not times:
        return {}
    found = np.percentile(np.array(times) * 1e3, _PERCENTILES)
    return {f"p{p}": round(float(v), 2) for p, v in zip(_PERCENTILES, found, strict=True)}
