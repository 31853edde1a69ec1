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

    Args:
        client: a `RestClient` or `GrpcClient`, without retries, so that refusals are counted; or a
            `SavedModelClient`, to compare with.
        inputs: the names of the model's inputs.
        texts: texts of the lengths that users send.
        num_clients: requests at the same time.
        seconds: duration.
        warm_up_seconds: time before that, whose answers are not counted; errors are.
        rows: rows of a request.
        seed: seed for the choice of texts.

    Returns:
        A dict with `requests`, `rows_per_second`, `milliseconds` (percentiles of answered
        requests), the same `by_words` of the longest text of a request, and `errors`, the number of
        each message.
    """
    if not texts:
        raise InputError("a load test needs at least one text")
    counted_from = time.monotonic() + warm_up_seconds
    end = counted_from + seconds
    times, errors = [], collections.Counter()

    def ask(number: int) -> None:
        chooser = random.Random(f"{seed} {number}")
        while (begin := time.monotonic()) < end:
            columns: dict[str, list] = {name: chooser.choices(texts, k=rows) for name in inputs}
            longest = max(len(text.split()) for column in columns.values() for text in column)
            for name in set(inputs) & set(LIST_COLUMNS):
                columns[name] = [[text, text] for text in columns[name]]
            try:
                client(**columns)
            except (InputError, OSError) as error:
                errors[str(error)] += 1
            else:
                if begin >= counted_from:
                    times.append((longest, time.monotonic() - begin))

    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
        for done in [pool.submit(ask, number) for number in range(num_clients)]:
            done.result()
    elapsed = time.monotonic() - counted_from
    return {
        "requests": len(times) + errors.total(),
        "rows_per_second": round(len(times) * rows / elapsed, 1),
        "milliseconds": _percentiles([seconds for _, seconds in times]),
        "by_words": _by_words(times),
        "errors": dict(errors),
    }


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
