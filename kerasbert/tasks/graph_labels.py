"""Labels in the batches of a `tf.data.Dataset`, converted in the graph as lists are in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasbert.data.inputs import shown_classes
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.labels import are_numbers, class_index


def one_per_example(y: Any) -> Any:
    """Returns labels as (batch,), without a last axis of size one.

    Args:
        y: labels of a batch.

    Raises:
        InputError: they have another shape.
    """
    if y.shape.rank == 2 and y.shape[1] == 1:
        return y[:, 0]
    if y.shape.rank != 1:
        raise InputError(f"y must be one label for each example, found the shape {y.shape}")
    return y


def class_indices(y: Any, classes: Sequence[str]) -> Any:
    """Converts labels to class indices, as `kerasbert.tasks.labels.class_indices` does.

    Args:
        y: class names, numbers or bools, (batch,) or (batch, 1).
        classes: the class names in order.

    Returns:
        int32, (batch,). A label that is none of the classes fails in the graph.
    """
    y = one_per_example(y)
    names, positions = y, list(range(len(classes)))
    if y.dtype == tf.string:
        matches = equal_to(y, classes)
    elif y.dtype == tf.bool:
        known = {name: position for position, name in enumerate(classes)}
        of_bools = [class_index(one, classes, known) for one in (False, True)]
        indices = tf.constant([-1 if index is None else index for index in of_bools])
        names = tf.where(y, "True", "False")
        matches = equal_to(tf.gather(indices, tf.cast(y, tf.int32)), positions)
    else:
        names = tf.as_string(y)
        numbers = list(map(int, classes)) if are_numbers(classes) else positions
        matches = equal_to(tf.cast(y, tf.float64), list(map(float, numbers)))
    with tf.control_dependencies([assert_known(names, matches, classes)]):
        return tf.argmax(matches, axis=-1, output_type=tf.int32)


def finite(y: Any) -> Any:
    """Returns numbers as float32; NaN and infinity fail in the graph."""
    y = tf.cast(y, tf.float32)
    is_finite = tf.reduce_all(tf.math.is_finite(y))
    with tf.control_dependencies([tf.debugging.Assert(is_finite, ["y must be finite numbers"])]):
        return tf.identity(y)


def equal_to(values: Any, others: Sequence[Any]) -> Any:
    """Compares each value with all others: bool, (values, others)."""
    return tf.equal(values[:, tf.newaxis], tf.constant(others, values.dtype))


def assert_known(names: Any, matches: Any, classes: Sequence[str]) -> Any:
    """Returns the op that fails if a label matches none of the classes.

    Args:
        names: the labels as strings, (labels,).
        matches: whether each label is each class, bool (labels, classes).
        classes: the class names in order.
    """
    known = tf.reduce_any(matches, axis=1)
    first = tf.argmin(tf.concat([tf.cast(known, tf.int32), [0]], axis=0))
    unknown = tf.concat([names, [""]], axis=0)[first]
    message = tf.strings.join(
        ["a label is '", unknown, f"', which is none of the classes {shown_classes(classes)}"]
    )
    return tf.debugging.Assert(tf.reduce_all(known), [message])
