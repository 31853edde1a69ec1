"""Raw columns -> one form of tf.data batches."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kerasbert.data.inputs import plain
from kerasbert.errors import InputError
from kerasbert.features import LIST_COLUMNS
from kerasbert.lazy import tensorflow as tf

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
                raise InputError(f"there are {len(self)} texts, but {name} has {_length(column)}")

    def __len__(self) -> int:
        return _length(next(iter(self.x.values())))

    @property
    def columns(self) -> dict:
        """What there is, as tensors."""
        x = {name: text_tensor(name, column) for name, column in self.x.items()}
        rest = {"y": self.y, "sample_weight": self.sample_weight}
        return {"x": x, **{k: _tensors(part) for k, part in rest.items() if part is not None}}


def batches(rows: Rows, *, batch_size: int, shuffle: bool = False):
    """Returns a dataset of `(x, y, sample_weight)`.

    Args:
        rows: what to batch.
        batch_size: rows a batch.
        shuffle: a new order at every pass, as in `shuffled`.

    Returns:
        A `tf.data.Dataset` of tuples: a dict of columns, then labels and weights, or None for what
        there is not.
    """
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
        position = step - group
        if self._group > 1:  # a batch that is not whole stays the last
            last = tf.maximum(whole - 1, 0)
            drawn = _permute(
                tf.minimum(position, last)[tf.newaxis], last + 1, seed, epoch, group + 1
            )
            position = tf.where(position < whole, drawn[0], position)
        index = rows[position * size : (position + 1) * size]
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


def split(columns: dict, y, sample_weight, fraction: float) -> tuple[tuple, tuple]:
    """Cuts the last `fraction` of the examples off.

    Returns:
        Columns, labels and weights of the first part, and the three of the second part.
    """
    at = round(_length(next(iter(columns.values()))) * (1 - fraction))

    def cut(part):
        first = {name: column[part] for name, column in columns.items()}
        return first, *(None if z is None else z[part] for z in (y, sample_weight))

    return cut(slice(at)), cut(slice(at, None))


def of_dataset(dataset: tf.data.Dataset, columns: Callable) -> tf.data.Dataset:
    """As `batches` gives them, of a dataset of text that is batched already.

    Args:
        dataset: of text, alone or as (x, y) or (x, y, sample_weight).
        columns: makes columns of one element's text, see `kerasbert.data.inputs`.

    Raises:
        InputError: it is not batched.
    """
    x = dataset.element_spec
    x = x[0] if isinstance(x, tuple) and x else x
    for spec in tf.nest.flatten(x):
        if spec.shape.rank == 0:
            raise InputError(
                "a tf.data.Dataset of text has single strings; batch the dataset first"
            )
    return mapped(dataset, lambda x, y=None, sample_weight=None: (columns(x), y, sample_weight))


def mapped(dataset: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    """Maps; what `function` raises comes through as it is."""
    return dataset.map(tf.autograph.experimental.do_not_convert(function))


def of_stream(stream, example: Callable, *, shuffle: bool = False) -> tf.data.Dataset:
    """The batches of a generator or of a Keras `PyDataset`, as a dataset.

    Args:
        stream: see above.
        example: makes what the dataset has of what `stream` has; not in a graph.
        shuffle: a `PyDataset`'s batches come in another order at every pass.
    """
    if isinstance(stream, Iterator):
        first = next(stream)
        ahead, count = [first], None

        def batches():
            while ahead:
                yield example(ahead.pop())
            yield from map(example, stream)
    else:
        count = stream.num_batches
        first = stream[0]

        def batches():
            order = itertools.count() if count is None else range(count)
            if shuffle and count is not None:
                order = np.random.permutation(count)
            yield from (example(stream[int(position)]) for position in order)
            stream.on_epoch_end()

    spec = tf.nest.map_structure(
        lambda part: tf.TensorSpec([None] * len(part.shape), part.dtype), example(first)
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=spec).prefetch(2)
    if count is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def text_tensor(name: str, column):
    """A column of text as a tensor (rows,) or, of lists, ragged (rows, strings)."""
    if not isinstance(column, list):
        if isinstance(column, tf.RaggedTensor) or name not in LIST_COLUMNS:
            return column
        return tf.RaggedTensor.from_tensor(column)
    if name not in LIST_COLUMNS:
        return tf.constant(column, tf.string, [len(column)])
    flat = tf.constant([one for row in column for one in row], tf.string)
    return tf.RaggedTensor.from_row_lengths(flat, tf.constant([*map(len, column)], tf.int64), False)


def few(columns: dict, batch_size: int) -> tuple[list[dict], Any]:
    """The batches of raw columns as dense tensors, made without a pipeline; the longest rows first.

    Returns:
        Columns of every batch, one batch at the least, and where each of the given rows is among
        them. Lists have to be of the same length.
    """
    columns, places = {name: plain(column) for name, column in columns.items()}, slice(None)
    count = len(next(iter(columns.values())))
    if count > batch_size:
        lengths = np.sum([[_size(row) for row in column] for column in columns.values()], axis=0)
        order = np.argsort(-lengths, kind="stable")
        columns = {
            name: [column[position] for position in order] for name, column in columns.items()
        }
        places = np.argsort(order)
    starts = range(0, max(1, count), batch_size)
    return [
        {name: _dense(name, column[start : start + batch_size]) for name, column in columns.items()}
        for start in starts
    ], places


def dense_spec(name: str) -> tf.TensorSpec:
    """What `few` makes of any column of this name."""
    return tf.TensorSpec([None, None] if name in LIST_COLUMNS else [None], tf.string)


def _dense(name: str, rows: list) -> tf.Tensor:
    if name not in LIST_COLUMNS:
        return tf.constant(rows, tf.string, [len(rows)])
    return tf.constant(rows, tf.string, [len(rows), len(rows[0]) if rows else 0])


def _size(row) -> int:
    return len(row) if isinstance(row, str | bytes) else sum(map(len, row))


def _tensors(part):
    if isinstance(part, dict):
        return {name: _tensors(column) for name, column in part.items()}
    return part if isinstance(part, tf.RaggedTensor) else tf.convert_to_tensor(part)


def _length(column) -> int:
    return column.shape[0] if hasattr(column, "shape") else len(column)
