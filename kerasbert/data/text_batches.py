"""Batches of raw columns as `tf.data` datasets."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from kerasbert.data.graph_ops import index_shuffle
from kerasbert.data.inputs import length, plain
from kerasbert.errors import InputError
from kerasbert.features import LIST_COLUMNS
from kerasbert.lazy import tensorflow as tf

# The number of batches whose rows are sorted by length together. Fewer are sorted if an epoch has
# less than four times as many.
_SORTED_TOGETHER = 50


@dataclasses.dataclass(frozen=True)
class Rows:
    """Columns of the same length, in the given order, to be batched.

    Attributes:
        x: dict of lists, arrays, tensors or ragged tensors.
        y: labels, one column or a dict of columns, or None.
        sample_weight: column of weights, or None.

    Raises:
        InputError: the columns differ in length.
    """

    x: dict
    y: Any = None
    sample_weight: Any = None

    def __post_init__(self) -> None:
        named = {**self.x, **(self.y if isinstance(self.y, dict) else {"y": self.y})}
        named["sample_weight"] = self.sample_weight
        for name, column in named.items():
            if not (column is None or hasattr(column, "shape") or hasattr(column, "__len__")):
                raise InputError(f"{name} must be a list, one for each text, found {column!r:.80}")
            if column is not None and length(column) != len(self):
                raise InputError(f"there are {len(self)} texts, but {name} has {length(column)}")

    def __len__(self) -> int:
        count = length(next(iter(self.x.values())))
        assert count is not None  # rows are not in a graph
        return count

    def first(self, count: int) -> Rows:
        """Returns the first rows, at most `count`."""
        if count >= len(self):
            return self
        (x, y, weights), _ = _cut(self.x, self.y, self.sample_weight, count)
        return Rows(x, y, weights)

    @property
    def columns(self) -> dict[str, Any]:
        """The existing columns as tensors."""
        x = {name: text_tensor(name, column) for name, column in self.x.items()}
        rest = {"y": self.y, "sample_weight": self.sample_weight}
        return {"x": x, **{k: _tensors(part) for k, part in rest.items() if part is not None}}


def batches(rows: Rows, *, batch_size: int, shuffle: bool = False, seed: int | None = None) -> Any:
    """Returns a dataset of `(x, y, sample_weight)`.

    Args:
        rows: `Rows` to batch.
        batch_size: integer, the number of rows per batch.
        shuffle: whether each iteration has a new order, as in `shuffled`.
        seed: integer, determines the orders of all iterations; None: 0.

    Returns:
        A `tf.data.Dataset` of tuples: a dict of columns, labels and weights; None for missing ones.
    """
    if not shuffle:
        dataset = tf.data.Dataset.from_tensor_slices(rows.columns)
        return dataset.batch(batch_size).map(_example)
    order = _Order(rows, batch_size)

    def one_pass(seed):
        steps = tf.data.Dataset.range(order.steps)
        return tf.data.Dataset.zip(tf.data.Dataset.from_tensors(seed).repeat(), steps)

    # All workers must see the same order.
    seeds = tf.data.Dataset.random(seed=seed or 0, rerandomize_each_iteration=True).take(1)
    steps = seeds.flat_map(one_pass).apply(tf.data.experimental.assert_cardinality(order.steps))
    return steps.map(lambda seed, step: order.batch(seed, tf.constant(0, tf.int64), step))


def shuffled(rows: Rows, *, batch_size: int, seed: int, start: int = 0) -> Any:
    """Returns an infinite dataset of `(step, (x, y, sample_weight))`.

    Every epoch has its own order, and a batch depends only on (seed, step). Rows of similar length
    are batched together, to reduce padding: the shuffled rows of an epoch are divided into groups
    of several batches, each group is sorted by length and divided into batches, and the batches of
    a group are shuffled.

    Args:
        rows: `Rows` to batch.
        batch_size: integer, the number of rows per batch; the last batch of an epoch can have
            fewer.
        seed: integer, determines the orders.
        start: integer, the first step.
    """
    order = _Order(rows, batch_size)

    def batch(step):
        return step, order.batch(
            tf.constant(seed, tf.int64), step // order.steps, step % order.steps
        )

    return convert(tf.data.Dataset.range(start, np.iinfo(np.int64).max), batch)


def longest_first(rows: Rows) -> tuple[Rows, np.ndarray]:
    """Sorts rows by descending length, to reduce padding.

    Returns:
        The sorted `Rows`, and the index of each of the given rows among them.
    """
    columns = rows.columns
    order = tf.argsort(_lengths(columns["x"]), direction="DESCENDING", stable=True)
    columns = tf.nest.map_structure(lambda column: tf.gather(column, order), columns)
    return Rows(*_example(columns)), np.argsort(order.numpy())


class _Order:
    """The order of the rows in all epochs; see `shuffled`."""

    def __init__(self, rows: Rows, batch_size: int):
        self._columns, self._count, self._batch_size = rows.columns, len(rows), batch_size
        self.steps = -(-len(rows) // batch_size)  # of an epoch
        self._group = max(1, min(_SORTED_TOGETHER, self.steps // 4))
        self._lengths = _lengths(self._columns["x"])

    def batch(self, seed, epoch, step) -> tuple:
        """Returns the batch of a step of an epoch; arguments are int64 scalars."""
        size, group = self._batch_size, step - step % self._group
        rows = tf.range(group * size, tf.minimum((group + self._group) * size, self._count))
        rows = _permute(rows, self._count, seed, epoch, tf.constant(0, tf.int64))
        rows = tf.gather(rows, tf.argsort(tf.gather(self._lengths, rows), stable=True))
        whole = tf.minimum(group + self._group, self._count // size) - group
        position = step - group
        if self._group > 1:  # an incomplete batch stays the last
            last = tf.maximum(whole - 1, 0)
            drawn = _permute(
                tf.minimum(position, last)[tf.newaxis], last + 1, seed, epoch, group + 1
            )
            position = tf.where(position < whole, drawn[0], position)
        index = rows[position * size : (position + 1) * size]
        return _example(
            tf.nest.map_structure(lambda column: tf.gather(column, index), self._columns)
        )


def _permute(index, count, *seed):
    """Permutes indices of `range(count)`; three numbers determine the permutation; all int64."""
    seeds = tf.broadcast_to(tf.stack(seed), tf.stack([tf.size(index), 3]))
    return index_shuffle(index, seeds, count - 1)


def _lengths(columns: dict) -> tf.Tensor:
    """Returns the length of each row: int64, (rows,)."""
    return tf.add_n([_row_lengths(column) for column in columns.values()])


def _row_lengths(column) -> tf.Tensor:
    """Returns the bytes of strings or the elements of lists; zeros for other columns."""
    if isinstance(column, tf.RaggedTensor):
        return tf.cast(column.row_lengths(), tf.int64)
    if column.dtype == tf.string and column.shape.rank == 1:
        return tf.cast(tf.strings.length(column), tf.int64)
    return tf.zeros(tf.shape(column)[:1], tf.int64)


def _example(parts: dict) -> tuple:
    return parts["x"], parts.get("y"), parts.get("sample_weight")


def with_random_numbers(batches: tf.data.Dataset, seed: int | None) -> tf.data.Dataset:
    """Pairs each batch with a random number, a new one in each iteration if there is a seed."""
    numbers = tf.data.Dataset.random(seed=seed or 0, rerandomize_each_iteration=seed is not None)
    return tf.data.Dataset.zip(numbers, batches)


def convert(batches: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
    """Maps batches in parallel and prefetches; exceptions of `function` are not wrapped."""
    function = tf.autograph.experimental.do_not_convert(function)
    batches = batches.map(function, num_parallel_calls=tf.data.AUTOTUNE)
    return _without_autotuning(batches.prefetch(2))


def _without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a dataset that does not tune itself.

    There is little to tune, and the end of an iterator often waits for the tuner to wake up, as
    long as the iterator has run.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def split(
    columns: dict[str, Any], y: Any, sample_weight: Any, fraction: float
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Splits off the last `fraction` of the examples, as many as Keras does.

    Returns:
        Two tuples of columns, labels and weights: the first part and the last part.

    Raises:
        InputError: they differ in length, or a part would be empty.
    """
    count = len(Rows(columns, y, sample_weight))
    at = math.floor(count * (1 - fraction))
    if at in (0, count):
        raise InputError(
            f"of {count} texts none is left to {'validate' if at else 'train'} with "
            f"validation_split={fraction}"
        )
    return _cut(columns, y, sample_weight, at)


def _cut(
    columns: dict[str, Any], y: Any, sample_weight: Any, at: int
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Returns the examples before `at`, and those from there on."""

    def cut(part):
        def of(z):
            if isinstance(z, Mapping):
                return {name: column[part] for name, column in z.items()}
            return None if z is None else z[part]

        return of(columns), of(y), of(sample_weight)

    return cut(slice(at)), cut(slice(at, None))


def of_dataset(dataset: tf.data.Dataset, columns: Callable[..., Any]) -> tf.data.Dataset:
    """Converts a batched dataset of text to the form of `batches`.

    Args:
        dataset: `tf.data.Dataset` of text, alone or as (x, y) or (x, y, sample_weight).
        columns: function from an element's text to columns, see `kerasbert.data.inputs`.

    Raises:
        InputError: the dataset is not batched.
    """
    x = dataset.element_spec
    x = x[0] if isinstance(x, tuple) and x else x
    for spec in tf.nest.flatten(x):
        if spec.shape.rank == 0:
            raise InputError(
                "the tf.data.Dataset of text contains single strings; batch the dataset first"
            )
    return mapped(dataset, lambda x, y=None, sample_weight=None: (columns(x), y, sample_weight))


def mapped(dataset: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
    """Maps a dataset; exceptions of `function` are not wrapped."""
    return dataset.map(tf.autograph.experimental.do_not_convert(function))


def of_stream(
    stream: Any, example: Callable[..., Any], *, shuffle: bool = False, seed: int | None = None
) -> tf.data.Dataset:
    """Converts a generator or a Keras `PyDataset` to a dataset of its batches.

    They are read one after the other; the `workers` of a `PyDataset` are not used.

    Args:
        stream: generator or `PyDataset`.
        example: function from the number of a batch and an item of `stream` to an element of the
            dataset, called in Python.
        shuffle: whether the batches of a `PyDataset` have a new order in each iteration.
        seed: for training, determines these orders, which are the same on all workers, and the
            first number; the others follow, in all iterations. None: each iteration has the same
            numbers.
    """
    numbers = itertools.count(seed or 0)

    def examples(items):
        return map(example, itertools.count() if seed is None else numbers, items)

    if isinstance(stream, Iterator):
        first = next(stream)
        ahead, count = [first], None

        def batches():
            begin = [ahead.pop()] if ahead else []
            yield from examples(itertools.chain(begin, stream))
    else:
        count = stream.num_batches
        # Like `tf.data.Dataset.random`, the orders depend on `keras.utils.set_random_seed`, too.
        orders = np.random.default_rng(tf.compat.v1.random.get_seed(seed or 0))
        first = stream[0]

        def batches():
            stream.on_epoch_begin()
            order = itertools.count() if count is None else range(count)
            if shuffle and count is not None:
                order = orders.permutation(count)
            yield from examples(stream[int(position)] for position in order)
            stream.on_epoch_end()

    spec = tf.nest.map_structure(
        lambda part: tf.TensorSpec([None] * len(part.shape), part.dtype), example(0, first)
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=spec).prefetch(2)
    if count is not None:
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return _without_autotuning(dataset)


def text_tensor(name: str, column: Any) -> Any:
    """Converts a column to a tensor, (rows,), or, for lists, a ragged tensor, (rows, strings)."""
    if not isinstance(column, list):
        if isinstance(column, tf.RaggedTensor) or name not in LIST_COLUMNS:
            return column
        return tf.RaggedTensor.from_tensor(column)
    if name not in LIST_COLUMNS:
        return tf.constant(column, tf.string, [len(column)])
    flat = tf.constant([one for row in column for one in row], tf.string)
    return tf.RaggedTensor.from_row_lengths(flat, tf.constant([*map(len, column)], tf.int64), False)


def few(columns: dict[str, Any], batch_size: int) -> tuple[list[dict[str, Any]], Any]:
    """Returns batches of dense tensors without a pipeline, the longest rows first.

    Lists of strings must all have the same length.

    Args:
        columns: dict of raw columns.
        batch_size: integer, the number of rows per batch.

    Returns:
        List of at least one batch of columns, and the index of each given row in the result.
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
    """Returns the `tf.TensorSpec` of a column in the batches of `few`."""
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
