"""The ops for drawing and masking batches in NumPy, with the same results as `graph_ops`."""

from typing import Any

import numpy as np

from kerasbert.data import stateless_random

where, minimum, maximum, rounded = np.where, np.minimum, np.maximum, np.round
seed_of, split_seed = stateless_random.seed_of, stateless_random.split


def cast(x: Any, dtype: str) -> np.ndarray:
    """Converts to another dtype."""
    return np.asarray(x).astype(dtype)


def arange(count: int, dtype: str = "int32") -> np.ndarray:
    """Returns the integers from 0 to below `count`."""
    return np.arange(count, dtype=dtype)


def gather(values: Any, index: Any) -> np.ndarray:
    """Returns the values at an index along the first axis."""
    return values[index]


def gather_in_rows(values: Any, index: Any) -> np.ndarray:
    """Returns, for each row, the values at the row's indices."""
    return np.take_along_axis(values, index, axis=1)


def last_at_or_before(bounds: Any, positions: Any) -> np.ndarray:
    """Returns, for each position, the index of the last of the ascending `bounds` up to it."""
    return np.searchsorted(bounds, positions, side="right") - 1


def last_at_or_before_in_rows(bounds: Any, positions: Any) -> np.ndarray:
    """Does what `last_at_or_before` does, with each row's own bounds; int32."""
    pairs = zip(bounds, positions, strict=True)
    return np.stack([last_at_or_before(*pair) for pair in pairs]).astype(np.int32)


def first_and_last_like(rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index of the first and the last equal element of each element in sorted rows."""
    first = [np.searchsorted(row, row) for row in rows]
    last = [np.searchsorted(row, row, side="right") - 1 for row in rows]
    return np.stack(first).astype(np.int32), np.stack(last).astype(np.int32)


def positions_like(rows: Any) -> np.ndarray:
    """Returns the position of each element in its row; int32."""
    return np.broadcast_to(np.arange(rows.shape[1], dtype=np.int32), rows.shape)


def sort(rows: Any) -> np.ndarray:
    """Sorts each row in ascending order."""
    return np.sort(rows, axis=1)


def ranks(rows: Any) -> np.ndarray:
    """Returns the position of each element in its sorted row; int32."""
    return np.argsort(np.argsort(rows, axis=1, kind="stable"), axis=1).astype(np.int32)


def cumsum(rows: Any) -> np.ndarray:
    """Returns the cumulative sums of each row."""
    return np.cumsum(rows, axis=1)


def count_true(rows: Any) -> np.ndarray:
    """Counts the true elements of each row: float32, (rows, 1)."""
    return np.asarray(np.sum(rows, axis=1, keepdims=True, dtype=np.float32))


def after_first(rows: Any, first: bool) -> np.ndarray:
    """Shifts rows by one element to the right and sets the first element to `first`."""
    return np.pad(rows[:, :-1], [[0, 0], [1, 0]], constant_values=first)


def put(rows: Any, positions: Any, values: Any, used: Any) -> np.ndarray:
    """Replaces the values at some positions of each row, where `used` is true."""
    changed, row = rows.copy(), np.broadcast_to(np.arange(len(rows))[:, np.newaxis], used.shape)
    changed[row[used], positions[used]] = values[used]
    return changed


def uniform(like: Any, seed: Any, dtype: str = "float32") -> np.ndarray:
    """Draws numbers in [0, 1), of the shape of `like`."""
    return stateless_random.uniform(np.shape(like), seed, np.dtype(dtype).type)


def integers(like: Any, seed: Any, limit: int) -> np.ndarray:
    """Draws integers from 0 to below `limit`, int32, of the shape of `like`."""
    return stateless_random.integers(np.shape(like), seed, limit)


def shuffled(index: Any, seed: int, epoch: Any, use: int, size: int) -> np.ndarray:
    """Returns indices below `size` permuted; (seed, epoch, use) determines the permutation."""
    found = np.empty_like(index)
    for one in np.unique(epoch):
        here = epoch == one
        key = (seed, int(one), use)
        found[here] = stateless_random.index_shuffle(index[here], key, size - 1)
    return found
