"""Strings in the forms that people have them -> one form of tf.data batches."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kerasbert import features as keys


def batches(x, y=None, sample_weight=None, *, batch_size: int, shuffle: bool = False):
    """Returns a dataset of `(text, y, sample_weight)`.

    Args:
        x: text, in any form that `kerasbert.features.is_text` knows. A `tf.data.Dataset` is
            batched already and brings its own labels.
        y: labels, (examples,), or None.
        sample_weight: weights, (examples,), or None.
        batch_size: examples a batch; a dataset keeps its own.
        shuffle: new order at every pass; a dataset keeps its own.

    Returns:
        A `tf.data.Dataset` of tuples: a dict of `text` and perhaps `text_pair`, string (batch,),
        then labels and weights, or None for what there is not.
    """
    if isinstance(x, tf.data.Dataset):
        return x.map(_from_element)
    text = _columns(x)
    count = len(text[keys.TEXT])
    for name, column in (*text.items(), ("y", y), ("sample_weight", sample_weight)):
        if column is not None and len(column) != count:
            raise ValueError(f"there are {count} texts, but {name} has {len(column)}")
    given = [part for part in (text, y, sample_weight) if part is not None]
    present = (True, y is not None, sample_weight is not None)
    dataset = tf.data.Dataset.from_tensor_slices(tuple(given))
    if shuffle:
        dataset = dataset.shuffle(count, reshuffle_each_iteration=True)

    def with_none(*parts):
        parts = iter(parts)
        return tuple(next(parts) if there else None for there in present)

    return dataset.batch(batch_size).map(with_none)


def shuffled(x, y=None, sample_weight=None, *, batch_size: int, seed: int, start: int = 0):
    """Returns a dataset without end of `(step, (text, y, sample_weight))`.

    Every epoch has an order of its own; batch number `step` depends on (seed, step) alone.

    Args:
        x: text, in any form that `kerasbert.features.is_text` knows but a dataset.
        y: labels, (examples,), or None.
        sample_weight: weights, (examples,), or None.
        batch_size: examples a batch; the last of an epoch may have fewer.
        seed: decides the orders.
        start: the first step.
    """
    text = _columns(x)
    parts = {"y": y, "sample_weight": sample_weight}
    columns = {name: tf.convert_to_tensor(part) for name, part in parts.items() if part is not None}
    columns["text"] = {name: tf.convert_to_tensor(column) for name, column in text.items()}
    count = len(text[keys.TEXT])
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
        return step, (found["text"], found.get("y"), found.get("sample_weight"))

    steps = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    return convert(steps, batch)


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
    text = _columns(x)
    at = round(len(text[keys.TEXT]) * (1 - fraction))

    def cut(part):
        first = {name: column[part] for name, column in text.items()}
        return first, *(None if z is None else z[part] for z in (y, sample_weight))

    return *cut(slice(at)), cut(slice(at, None))


def _columns(x) -> dict:
    if isinstance(x, dict):
        return {name: _strings(column) for name, column in x.items()}
    if isinstance(x, tuple) and len(x) == 2 and not isinstance(x[0], str | bytes):
        return {keys.TEXT: _strings(x[0]), keys.TEXT_PAIR: _strings(x[1])}
    return {keys.TEXT: _strings(x)}


def _strings(column):
    if isinstance(column, np.ndarray) and column.dtype == object:
        return column.tolist()
    return column


def _from_element(x, y=None, sample_weight=None):
    text = _columns(x)
    for name, column in text.items():
        if column.shape.rank != 1:
            raise ValueError(f"{name} has shape {column.shape}; batch the dataset first")
    return text, y, sample_weight
