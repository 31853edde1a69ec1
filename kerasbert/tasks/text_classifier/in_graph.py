"""What each problem type computes in the graph: targets from labels, and outputs of an export."""

from __future__ import annotations

from typing import Any

from kerasbert.data.inputs import shown_classes
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.graph_labels import assert_known, class_indices, equal_to, finite


def targets_of_classes(problem: Any, y: Any) -> Any:
    """Returns class indices, int32 (batch,), or class probabilities, float32 (batch, classes)."""
    if y.shape.rank == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype == tf.string:
        if y.shape.rank != 1:
            raise InputError(f"y must be one name for every example, found the shape {y.shape}")
    elif y.shape.rank == 2 and y.shape[1] in (None, len(problem.classes)):
        return finite(y)
    elif y.shape.rank != 1:
        raise InputError(
            f"y must have one class, or a share of each of the {len(problem.classes)} classes, "
            f"for every example; found the shape {y.shape}"
        )
    return class_indices(y, problem.classes)


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
    matches = equal_to(y.flat_values, problem.classes)
    with tf.control_dependencies([assert_known(y.flat_values, matches, problem.classes)]):
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
    if isinstance(y, tf.RaggedTensor):
        y = tf.cast(y, tf.float32).to_tensor(float("nan"))  # what a row lacks is no number
    y = finite(y)
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
