"""What drawing and masking batches needs, in NumPy: the functions of `graph_ops`, bit by bit."""

import numpy as np

from kerasbert.data import stateless_random

where, minimum, maximum, rounded = np.where, np.minimum, np.maximum, np.round
seed_of, split_seed = stateless_random.seed_of, stateless_random.split


def cast(x, dtype: str) -> np.ndarray:
    """With another dtype."""
    return np.asarray(x).astype(dtype)


def arange(count: int, dtype: str = "int32") -> np.ndarray:
    """The numbers from 0 on."""
    return np.arange(count, dtype=dtype)


def gather(values, index) -> np.ndarray:
    """The values at an index, along the first axis."""
    return values[index]


def gather_in_rows(values, index) -> np.ndarray:
    """The values of each row at the index of the row."""
    return np.take_along_axis(values, index, axis=1)


def last_at_or_before(bounds, places) -> np.ndarray:
    """For each place, the index of the last of the rising `bounds` that is not beyond it."""
    return np.searchsorted(bounds, places, side="right") - 1


def first_and_last_like(rows) -> tuple[np.ndarray, np.ndarray]:
    """For each element of rising rows, where the first and the last of its value are."""
    first = [np.searchsorted(row, row) for row in rows]
    last = [np.searchsorted(row, row, side="right") - 1 for row in rows]
    return np.stack(first).astype(np.int32), np.stack(last).astype(np.int32)


def positions_like(rows) -> np.ndarray:
    """Where each element is in its row; int32."""
    return np.broadcast_to(np.arange(rows.shape[1], dtype=np.int32), rows.shape)


def sort(rows) -> np.ndarray:
    """Each row in rising order."""
    return np.sort(rows, axis=1)


def ranks(rows) -> np.ndarray:
    """Which place each element would have in its row, if that was sorted."""
    return np.argsort(np.argsort(rows, axis=1, kind="stable"), axis=1).astype(np.int32)


def cumsum(rows) -> np.ndarray:
    """Sums from the beginning of each row on."""
    return np.cumsum(rows, axis=1)


def count_true(rows) -> np.ndarray:
    """How many elements of each row are true: float32, (rows, 1)."""
    return np.sum(rows, axis=1, keepdims=True, dtype=np.float32)


def after_first(rows, first: bool) -> np.ndarray:
    """Rows moved by one element, with `first` at the beginning."""
    return np.pad(rows[:, :-1], [[0, 0], [1, 0]], constant_values=first)


def put(rows, positions, values, used) -> np.ndarray:
    """Rows with other values at some positions of each, where those are used."""
    changed, row = rows.copy(), np.broadcast_to(np.arange(len(rows))[:, np.newaxis], used.shape)
    changed[row[used], positions[used]] = values[used]
    return changed


def uniform(like, seed, dtype: str = "float32") -> np.ndarray:
    """Numbers in [0, 1), as many as `like` has elements."""
    return stateless_random.uniform(np.shape(like), seed, np.dtype(dtype).type)


def integers(like, seed, limit: int) -> np.ndarray:
    """Numbers from 0 to below a limit, int32."""
    return stateless_random.integers(np.shape(like), seed, limit)


def shuffled(index, seed: int, epoch, use: int, size: int) -> np.ndarray:
    """Where indices below `size` go in a permutation that three numbers decide."""
    found = np.empty_like(index)
    for one in np.unique(epoch):
        here = epoch == one
        key = (seed, int(one), use)
        found[here] = stateless_random.index_shuffle(index[here], key, size - 1)
    return found
