"""What each problem type computes in the graph: targets from labels, and outputs of an export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerasbert.data.inputs import shown_classes
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.labels import are_numbers


def targets_of_classes(problem: Any, y: Any) -> Any:
    """Returns class indices, int32 (batch,); class probabilities (batch, classes) stay as is."""
    if y.shape.rank == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype != tf.string:
        return _indices(problem, y)
    if y.shape.rank != 1:
        raise InputError(f"y must be one name for every example, found the shape {y.shape}")
    matches = _matches(y, problem.classes)
    with tf.control_dependencies([_assert_known(y, matches, problem.classes)]):
        return tf.argmax(matches, axis=-1, output_type=tf.int32)


def _indices(problem, y):
    """Converts numbers, each the name or index of a class, to indices; see above."""
    if y.shape.rank == 2 and y.shape[1] in (None, len(problem.classes)):
        return y
    if y.shape.rank != 1:
        raise InputError(
            f"y must have one class, or a share of each of the {len(problem.classes)} classes, "
            f"for every example; found the shape {y.shape}"
        )
    positions = range(len(problem.classes))
    of_place = list(map(int, problem.classes)) if are_numbers(problem.classes) else list(positions)
    matches = tf.equal(tf.cast(y, tf.float64)[:, tf.newaxis], tf.constant(of_place, tf.float64))
    with tf.control_dependencies([_assert_known(tf.as_string(y), matches, problem.classes)]):
        return tf.argmax(matches, axis=-1, output_type=tf.int32)


def answers_of_classes(problem: Any, logits: Any) -> Any:
    """Returns `scores` of each class, the best `label`, and the class names as `labels`."""
    names = tf.constant(problem.classes)
    return {
        "scores": problem.scores(logits),
        "label": tf.gather(names, tf.argmax(logits, axis=-1)),
        "labels": tf.broadcast_to(names, tf.shape(logits)),
    }


def targets_of_labels(problem: Any, y: Any) -> Any:
    """Returns 0 and 1 for each class, float32 (batch, classes)."""
    if y.dtype != tf.string:
        return _dense(problem, tf.cast(y, tf.float32))
    if y.shape.rank == 1:
        raise InputError(f"y must be lists of names, or {_wanted(problem)}; found single names")
    y = y if isinstance(y, tf.RaggedTensor) else tf.RaggedTensor.from_tensor(y)
    matches = _matches(y.flat_values, problem.classes)
    with tf.control_dependencies([_assert_known(y.flat_values, matches, problem.classes)]):
        named = tf.math.unsorted_segment_sum(
            tf.cast(matches, tf.float32), y.value_rowids(), y.nrows()
        )
    return tf.minimum(named, 1.0)


def _dense(problem, y):
    """Returns zeros and ones for every class; a ragged row without values becomes zeros."""
    count, message = len(problem.classes), f"y must be lists of names, or {_wanted(problem)}"
    is_ragged = isinstance(y, tf.RaggedTensor)
    if y.shape.rank != 2 or not (is_ragged or y.shape[1] in (None, count)):
        raise InputError(f"{message}; found the shape {y.shape}")
    lengths = y.row_lengths() if is_ragged else tf.shape(y, tf.int64)[1:]
    values = y.flat_values if is_ragged else y
    right = tf.reduce_all((lengths == count) | ((lengths == 0) & is_ragged))
    right &= tf.reduce_all((values >= 0) & (values <= 1))
    with tf.control_dependencies([tf.debugging.Assert(right, [message])]):
        return y.to_tensor(shape=[None, count]) if is_ragged else tf.identity(y)


def _wanted(problem) -> str:
    return f"0 and 1 for each of the {len(problem.classes)} classes"


def answers_of_labels(problem: Any, logits: Any) -> Any:
    """Returns `scores` of each class, `predicted` as 0 and 1, and the names as `labels`."""
    scores = problem.scores(logits)
    return {
        "scores": scores,
        "predicted": tf.cast(scores >= problem.threshold, tf.int32),
        "labels": tf.broadcast_to(tf.constant(problem.classes), tf.shape(logits)),
    }


def targets_of_numbers(problem: Any, y: Any) -> Any:
    """Returns float32 (batch, numbers)."""
    if y.dtype == tf.string:
        raise InputError("y must be numbers, found strings")
    y = y.to_tensor() if isinstance(y, tf.RaggedTensor) else y
    y = tf.cast(y, tf.float32)
    y = y[:, tf.newaxis] if y.shape.rank == 1 else y
    width, count = tf.shape(y)[-1], len(problem.classes)
    wanted = f"y must have {count} numbers for every example ({shown_classes(problem.classes)})"
    if y.shape[-1] not in (None, count):  # checked now, because tracing the loss would fail first
        raise InputError(f"{wanted}, found {y.shape[-1]}")
    # A single string, because TensorFlow puts each of several in brackets.
    message = tf.strings.join([wanted, ", found ", tf.strings.as_string(width)])
    with tf.control_dependencies([tf.debugging.Assert(width == count, [message])]):
        return tf.reshape(y, [-1, count])


def answers_of_numbers(problem: Any, logits: Any) -> Any:
    """Returns the `value`; for several numbers `values`, and their names as `labels`."""
    if len(problem.classes) == 1:
        return {"value": logits[:, 0]}
    return {
        "values": logits,
        "labels": tf.broadcast_to(tf.constant(problem.classes), tf.shape(logits)),
    }


def _matches(names, classes: Sequence[str]):
    """Compares names with classes: bool, (names, classes)."""
    return tf.equal(names[:, tf.newaxis], tf.constant(classes))


def _assert_known(names, matches, classes: Sequence[str]):
    known = tf.reduce_any(matches, axis=1)
    first = tf.argmin(tf.concat([tf.cast(known, tf.int32), [0]], axis=0))
    unknown = tf.concat([names, [""]], axis=0)[first]
    message = tf.strings.join(
        ["a label is '", unknown, f"', which is none of the classes {shown_classes(classes)}"]
    )
    return tf.debugging.Assert(tf.reduce_all(known), [message])


#: Functions from a problem and labels (perhaps ragged) to targets, by `ProblemType.outputs_are`.
TARGETS = {
    "classes": targets_of_classes,
    "labels": targets_of_labels,
    "numbers": targets_of_numbers,
}
#: Functions from a problem and logits to the outputs of an export, by `ProblemType.outputs_are`.
ANSWERS = {
    "classes": answers_of_classes,
    "labels": answers_of_labels,
    "numbers": answers_of_numbers,
}
