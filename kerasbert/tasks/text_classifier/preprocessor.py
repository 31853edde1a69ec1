"""Preprocessing for text classification."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasbert.data.inputs import Accepted
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_PAIR
from kerasbert.tasks.long_text import LongTextPreprocessor
from kerasbert.tasks.text_classifier.in_graph import ANSWERS, TARGETS

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
        takes_shares: whether the loss takes probabilities of all classes instead of an index.
    """

    problem: Any
    pair: bool = False
    takes_shares: bool = False

    @property
    def text_columns(self) -> Accepted:
        """The accepted columns; depend on `pair`."""
        return ((TEXT, TEXT_PAIR),) if self.pair else ((TEXT,),)

    @property
    def columns_hint(self) -> str:
        """The part of an error message that says how to classify pairs."""
        return "" if self.pair else "; a classifier of pairs of texts is made with pair=True"

    def labels(self, y: Any, columns: dict[str, Any]) -> Any:
        """Returns class indices, 0 and 1 for each class, or floats."""
        labels = self.problem.labels(y)
        if not self._are_shares(labels) or self.takes_shares:
            return labels
        whole = (labels == 0) | (labels == 1)
        if not (whole.all() and (labels.sum(-1) == 1).all()):
            raise InputError(_SHARES)
        return np.asarray(labels.argmax(-1), "int32")

    def targets(self, y: Any, row: dict[str, Any]) -> Any:
        """Does the same as `labels`, in the graph."""
        targets = TARGETS[self.problem.outputs_are](self.problem, y)
        if self._are_shares(targets) and not self.takes_shares:
            raise InputError(_SHARES)
        return targets

    def _are_shares(self, labels) -> bool:
        return self.problem.outputs_are == "classes" and len(labels.shape) == 2

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
