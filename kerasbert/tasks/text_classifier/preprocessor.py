"""Preprocessing for text classification."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasbert.data.inputs import Accepted
from kerasbert.data.text_batches import Rows
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_PAIR
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.long_text import LongTextPreprocessor
from kerasbert.tasks.text_classifier.in_graph import ANSWERS, TARGETS
from kerasbert.tasks.text_classifier.problem_types import weights_of_rows

_SHARES = (
    "y has the share of each class, but the loss takes one class an example; "
    "compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True)) takes shares"
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TextClassifierPreprocessor(LongTextPreprocessor):
    """Turns texts and labels into features and targets; see `TextClassifier`.

    Attributes:
        problem: the `ProblemType` that defines labels and scores.
        pair: whether an example is two texts.
        label_form: what the loss takes as labels of classes: "indices", or "shares" of all classes;
            None: either, unchanged.
    """

    problem: Any
    pair: bool = False
    label_form: str | None = "indices"

    @property
    def text_columns(self) -> Accepted:
        """The accepted columns; depend on `pair`."""
        return ((TEXT, TEXT_PAIR),) if self.pair else ((TEXT,),)

    @property
    def columns_hint(self) -> str:
        """The part of an error message that says how to classify pairs."""
        return "" if self.pair else "; a classifier of pairs of texts is made with pair=True"

    def labels(self, y: Any, columns: dict[str, Any]) -> Any:
        """Returns class indices or shares of classes, 0 and 1 for each class, or floats."""
        labels = self.problem.labels(y)
        if not self._has_other_form(labels):
            return labels
        if labels.ndim == 1:
            return np.eye(len(self.problem.classes), dtype="float32")[labels]
        whole = (labels == 0) | (labels == 1)
        if not (whole.all() and (labels.sum(-1) == 1).all()):
            raise InputError(_SHARES)
        return np.asarray(labels.argmax(-1), "int32")

    def targets(self, y: Any, row: dict[str, Any]) -> Any:
        """Does the same as `labels`, in the graph."""
        targets = TARGETS[self.problem.outputs_are](self.problem, y)
        if not self._has_other_form(targets):
            return targets
        if targets.shape.rank == 1:
            return tf.one_hot(targets, len(self.problem.classes))
        whole = tf.reduce_all((targets == 0) | (targets == 1))
        whole &= tf.reduce_all(tf.reduce_sum(targets, axis=-1) == 1)
        with tf.control_dependencies([tf.debugging.Assert(whole, [_SHARES])]):
            return tf.argmax(targets, axis=-1, output_type=tf.int32)

    def _has_other_form(self, labels) -> bool:
        """Whether labels of classes are indices or shares, and the loss takes the other ones."""
        form = "shares" if len(labels.shape) == 2 else "indices"
        return self.problem.outputs_are == "classes" and self.label_form not in (None, form)

    def weighted(self, rows: Rows, class_weight: Any) -> tuple[Rows, Any]:
        """Multiplies the weights of texts by those of their classes, a dict by index."""
        if class_weight is None:
            return rows, None
        weights = weights_of_rows(rows.y, class_weight, rows.sample_weight)
        return dataclasses.replace(rows, sample_weight=weights), None

    def features(self, text: Any, text_pair: Any = None) -> dict[str, Any]:
        """Returns features of a batch of strings."""
        if self.pair != (text_pair is not None):
            takes = "pairs of texts" if self.pair else "one text"
            raise InputError(f"{self.name} takes {takes}{self.columns_hint}")
        return super().features(text, text_pair)

    def serving_signature(self, task: Any) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Maps `text` (and `text_pair`) to the outputs of the problem type.

        One class: `scores`, float32 (batch, classes), `label` (batch,), and the class names of the
        scores as `labels` (batch, classes). Several: `scores` and `labels` likewise, and
        `predicted`, int32 0 or 1 for each class. Numbers: `value`, float32 (batch,), or `values`
        (batch, numbers) with their names as `labels`.
        """

        def classify(text, text_pair=None):
            return ANSWERS[self.problem.outputs_are](
                self.problem, task(self.features(text, text_pair), training=False)
            )

        return ((TEXT, TEXT_PAIR) if self.pair else (TEXT,)), classify
