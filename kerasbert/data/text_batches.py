"""Strings in the forms that people have them -> one form of tf.data batches."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kerasbert import features as keys

# Batches whose rows are sorted by length together; four times so many are needed to do it at all.
_SORTED_TOGETHER = 50


@dataclasses.dataclass(frozen=True)
class Rows:
    """What is batched: columns of the same length, in the order they were given.

    Attributes:
        x: lists, arrays, tensors or ragged tensors, by name.
        y: labels, one such column or several by name; None: there are none.
        sample_weight: weights, or None.
    """

    x: dict
    y: Any = None
    sample_weight: Any = None

    def __post_init__(self):
        named = {**self.x, **(self.y if isinstance(self.y, dict) else {"y": self.y})}
        named["sample_weight"] = self.sample_weight
        for name, column in named.items():
            if column is not None and _length(column) != len(self):
                raise ValueError(f"there are {len(self)} texts, but {name} has {_length(column)}")

    def __len__(self) -> int:
        return _length(next(iter(self.x.values())))

    @property
    def columns(self) -> dict:
        """What there is, as tensors."""
        parts = {"x": self.x, "y": self.y, "sample_weight": self.sample_weight}
        return {name: _tensors(part) for name, part in parts.items() if part is not None}


def rows(x, y=None, sample_weight=None) -> Rows:
    """Rows of text in any form but a dataset that `kerasbert.features.is_text` knows.

    Raises:
        ValueError: the columns differ in length.
    """
    return x if isinstance(x, Rows) else Rows(columns(x), y, sample_weight)


def batches(rows: Rows | tf.data.Dataset, *, batch_size: int, shuffle: bool = False):
    """Returns a dataset of `(x, y, sample_weight)`.

    Args:
        rows: what to batch. A `tf.data.Dataset` of text is batched already and brings its labels.
        batch_size: rows a batch; a dataset keeps its own.
        shuffle: a new order at every pass, as in `shuffled`; a dataset keeps its own.

    Returns:
        A `tf.data.Dataset` of tuples: a dict of columns, then labels and weights, or None for what
        there is not.
    """
    if isinstance(rows, tf.data.Dataset):
        return rows.map(_from_element)
    if not shuffle:
        dataset = tf.data.Dataset.from_tensor_slices(rows.columns)
        return dataset.batch(batch_size).map(_example)
    order = _Order(rows, batch_size)

    def one_pass(seed):
        steps = tf.data.Dataset.range(order.steps)
        return tf.data.Dataset.zip(tf.data.Dataset.from_tensors(seed).repeat(), steps)

    # Of several workers all must see the same order.
    seeds = tf.data.Dataset.random(seed=0, rerandomize_each_iteration=True).take(1)
    steps = seeds.flat_map(one_pass).apply(tf.data.experimental.assert_cardinality(order.steps))
    return steps.map(lambda seed, step: order.batch(seed, tf.constant(0, tf.int64), step))


def shuffled(rows: Rows, *, batch_size: int, seed: int, start: int = 0):
    """Returns a dataset without end of `(step, (x, y, sample_weight))`.

    Every epoch has an order of its own; batch number `step` depends on (seed, step) alone. Rows of
    like length come together, so that little of a batch is padding: each epoch's shuffled rows are
    cut into groups of some batches, and a group is sorted by length before it is cut into batches,
    which come in a random order.

    Args:
        rows: what to batch.
        batch_size: rows a batch; the last of an epoch may have fewer.
        seed: decides the orders.
        start: the first step.
    """
    order = _Order(rows, batch_size)

    def batch(step):
        return step, order.batch(
            tf.constant(seed, tf.int64), step // order.steps, step % order.steps
        )

    return convert(tf.data.Dataset.range(start, np.iinfo(np.int64).max), batch)


def longest_first(rows: Rows) -> tuple[Rows, np.ndarray]:
    """Rows in the order of their length, so that little of a batch is padding.

    Returns:
        The rows, and where each of the given ones is among them.
    """
    columns = rows.columns
    order = tf.argsort(_lengths(columns["x"]), direction="DESCENDING", stable=True)
    columns = tf.nest.map_structure(lambda column: tf.gather(column, order), columns)
    return Rows(*_example(columns)), np.argsort(order.numpy())


class _Order:
    """The orders in which rows come; see `shuffled`."""

    def __init__(self, rows: Rows, batch_size: int):
        self._columns, self._count, self._batch_size = rows.columns, len(rows), batch_size
        self.steps = -(-len(rows) // batch_size)  # of an epoch
        self._group = max(1, min(_SORTED_TOGETHER, self.steps // 4))
        self._lengths = _lengths(self._columns["x"])

    def batch(self, seed, epoch, step) -> tuple:
        """The batch of a step of an epoch: all int64 scalars."""
        size, group = self._batch_size, step - step % self._group
        rows = tf.range(group * size, tf.minimum((group + self._group) * size, self._count))
        rows = _permute(rows, self._count, seed, epoch, tf.constant(0, tf.int64))
        rows = tf.gather(rows, tf.argsort(tf.gather(self._lengths, rows), stable=True))
        whole = tf.minimum(group + self._group, self._count // size) - group
        place = step - group
        if self._group > 1:  # a batch that is not whole stays the last
            last = tf.maximum(whole - 1, 0)
            drawn = _permute(tf.minimum(place, last)[tf.newaxis], last + 1, seed, epoch, group + 1)
            place = tf.where(place < whole, drawn[0], place)
        index = rows[place * size : (place + 1) * size]
        return _example(
            tf.nest.map_structure(lambda column: tf.gather(column, index), self._columns)
        )


def _permute(places, count, *seed):
    """Where places of `range(count)` go in a permutation that three numbers decide; all int64."""
    seeds = tf.broadcast_to(tf.stack(seed), tf.stack([tf.size(places), 3]))
    largest = tf.fill(tf.shape(places), tf.cast(count - 1, tf.int64))
    # With 4 rounds, fewer than 1000 examples stay nearly in order.
    return tf.raw_ops.RandomIndexShuffle(index=places, seed=seeds, max_index=largest, rounds=16)


def _lengths(columns: dict) -> tf.Tensor:
    """How long rows are, int64, (rows,)."""
    return tf.add_n([_row_lengths(column) for column in columns.values()])


def _row_lengths(column) -> tf.Tensor:
    """Bytes of strings, elements of lists; zeros of what has one length."""
    if isinstance(column, tf.RaggedTensor):
        return tf.cast(column.row_lengths(), tf.int64)
    if column.dtype == tf.string and column.shape.rank == 1:
        return tf.cast(tf.strings.length(column), tf.int64)
    return tf.zeros(tf.shape(column)[:1], tf.int64)


def _example(parts: dict) -> tuple:
    return parts["x"], parts.get("y"), parts.get("sample_weight")


def with_random_numbers(batches: tf.data.Dataset, anew: bool) -> tf.data.Dataset:
    """Puts a number before every batch: the same at every pass or, with `anew`, others."""
    numbers = tf.data.Dataset.random(seed=0, rerandomize_each_iteration=anew)
    return tf.data.Dataset.zip(numbers, batches)


def convert(batches: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    """Maps batches in parallel and ahead of time; what `function` raises comes through as it is."""
    function = tf.autograph.experimental.do_not_convert(function)
    batches = batches.map(function, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)
    # There is little to tune, and an iterator's end often waits until the tuner wakes up: as long
    # again as the iterator has run.
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def split(x, y, sample_weight, fraction: float):
    """Cuts the last `fraction` of the examples off.

    Returns:
        `x`, `y`, `sample_weight` of the first part, and a tuple of the three of the second part
        (None if `fraction` is 0).
    """
    if not fraction:
        return x, y, sample_weight, None
    if isinstance(x, tf.data.Dataset):
        raise ValueError("validation_split needs arrays; a tf.data.Dataset has to be split before")
    text = columns(x)
    at = round(_length(next(iter(text.values()))) * (1 - fraction))

    def cut(part):
        first = {name: column[part] for name, column in text.items()}
        return first, *(None if z is None else z[part] for z in (y, sample_weight))

    return *cut(slice(at)), cut(slice(at, None))


def columns(x) -> dict:
    """The columns of raw text in any form but a dataset."""
    if isinstance(x, dict):
        return {name: _strings(column) for name, column in x.items()}
    if keys.is_pair(x):
        return {keys.TEXT: _strings(x[0]), keys.TEXT_PAIR: _strings(x[1])}
    return {keys.WORDS if keys.is_words(x) else keys.TEXT: _strings(x)}


def _tensors(part):
    if isinstance(part, dict):
        return {name: _tensors(column) for name, column in part.items()}
    if isinstance(part, list) and any(isinstance(one, list) for one in part[:1]):
        return tf.ragged.constant(part)
    return part if isinstance(part, tf.RaggedTensor) else tf.convert_to_tensor(part)


def _length(column) -> int:
    return column.shape[0] if hasattr(column, "shape") else len(column)


def _strings(column):
    if isinstance(column, np.ndarray) and column.dtype == object:
        return column.tolist()
    return column


def _from_element(x, y=None, sample_weight=None):
    text = columns(x)
    for name, column in text.items():
        if column.shape.rank != (2 if name in keys.LISTS else 1):
            raise ValueError(f"{name} has shape {column.shape}; batch the dataset first")
    return text, y, sample_weight
