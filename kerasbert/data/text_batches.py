"""Strings in the forms that people have them -> one form of tf.data batches."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kerasbert import features as keys


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
        shuffle: new order at every pass; a dataset keeps its own.

    Returns:
        A `tf.data.Dataset` of tuples: a dict of columns, then labels and weights, or None for what
        there is not.
    """
    if isinstance(rows, tf.data.Dataset):
        return rows.map(_from_element)
    dataset = tf.data.Dataset.from_tensor_slices(rows.columns)
    if shuffle:
        dataset = dataset.shuffle(len(rows), reshuffle_each_iteration=True)
    return dataset.batch(batch_size).map(_example)


def shuffled(rows: Rows, *, batch_size: int, seed: int, start: int = 0):
    """Returns a dataset without end of `(step, (x, y, sample_weight))`.

    Every epoch has an order of its own; batch number `step` depends on (seed, step) alone.

    Args:
        rows: what to batch.
        batch_size: rows a batch; the last of an epoch may have fewer.
        seed: decides the orders.
        start: the first step.
    """
    columns, count = rows.columns, len(rows)
    steps_per_epoch = -(-count // batch_size)

    def batch(step):
        epoch, place = step // steps_per_epoch, step % steps_per_epoch
        places = tf.range(place * batch_size, tf.minimum((place + 1) * batch_size, count))
        seeds = tf.stack([tf.constant(seed, tf.int64), epoch, tf.constant(0, tf.int64)])
        index = tf.raw_ops.RandomIndexShuffle(
            index=places,
            seed=tf.broadcast_to(seeds, tf.stack([tf.size(places), 3])),
            max_index=tf.fill(tf.shape(places), tf.constant(count - 1, tf.int64)),
            rounds=16,  # with 4, fewer than 1000 examples stay nearly in order
        )
        found = tf.nest.map_structure(lambda column: tf.gather(column, index), columns)
        return step, _example(found)

    steps = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    return convert(steps, batch)


def _example(parts: dict) -> tuple:
    return parts["x"], parts.get("y"), parts.get("sample_weight")


def with_random_numbers(batches: tf.data.Dataset, anew: bool) -> tf.data.Dataset:
    """Puts a number before every batch: the same at every pass or, with `anew`, others."""
    numbers = tf.data.Dataset.random(seed=0, rerandomize_each_iteration=anew)
    return tf.data.Dataset.zip(numbers, batches)


def convert(batches: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    """Maps batches in parallel and ahead of time; what `function` raises comes through as it is."""
    function = tf.autograph.experimental.do_not_convert(function)
    return batches.map(function, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


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
