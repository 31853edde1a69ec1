"""Texts, or pairs of them, and their labels -> what a classifier reads and learns from."""

import dataclasses
from typing import Any

import numpy as np

from kerasbert.data.inputs import Accepted
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_PAIR
from kerasbert.tasks.preprocessor import Preprocessor
from kerasbert.tasks.text_classifier.in_graph import ANSWERS, TARGETS
from kerasbert.text.chunks import chunk_features, chunk_room

_SHARES = (
    "y has the share of each class, but the loss takes one class an example; "
    "compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True)) takes shares"
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TextClassifierPreprocessor(Preprocessor):
    """See `TextClassifier`.

    Attributes:
        problem: what labels mean, a `ProblemType`.
        pair: whether an example is two texts.
        takes_shares: whether the loss takes shares of all classes rather than one class's index.
        long_text: how chunks are pooled; None: what is beyond `sequence_length` is cut off.
        max_chunks: chunks a text may have.
        chunk_overlap: tokens that a chunk repeats of the one before it.
    """

    problem: Any
    pair: bool = False
    takes_shares: bool = False
    long_text: str | None = None
    max_chunks: int = 8
    chunk_overlap: int = 0

    @property
    def text_columns(self) -> Accepted:
        """By `pair`."""
        return ((TEXT, TEXT_PAIR),) if self.pair else ((TEXT,),)

    @property
    def columns_hint(self) -> str:
        """How to take pairs."""
        return "" if self.pair else "; a classifier of pairs of texts is made with pair=True"

    def labels(self, y, columns: dict):
        """Class indices, 0 and 1 for each class, or floats."""
        labels = self.problem.labels(y)
        if not self._are_shares(labels) or self.takes_shares:
            return labels
        whole = (labels == 0) | (labels == 1)
        if not (whole.all() and (labels.sum(-1) == 1).all()):
            raise InputError(_SHARES)
        return np.asarray(labels.argmax(-1), "int32")

    def targets(self, y, row: dict):
        """As `labels`, in the graph."""
        targets = TARGETS[self.problem.outputs_are](self.problem, y)
        if self._are_shares(targets) and not self.takes_shares:
            raise InputError(_SHARES)
        return targets

    def _are_shares(self, labels) -> bool:
        return self.problem.outputs_are == "classes" and len(labels.shape) == 2

    def features(self, text, text_pair=None) -> dict:
        """Features of a batch of strings."""
        if self.pair != (text_pair is not None):
            takes = "pairs of texts" if self.pair else "one text"
            raise InputError(f"{self.name} takes {takes}{self.columns_hint}")
        if self.long_text:
            return chunk_features(
                self.packer, text, max_chunks=self.max_chunks, overlap=self.chunk_overlap
            )
        return super().features(text, text_pair)

    @property
    def text_room(self) -> int:
        """Tokens of one text that are read, special tokens not counted."""
        if not self.long_text:
            return super().text_room
        return chunk_room(self.packer, max_chunks=self.max_chunks, overlap=self.chunk_overlap)

    def serving_signature(self, task):
        """`text` (and `text_pair`) -> what the problem type has for an answer.

        One class: `scores` float32 (batch, classes), `label` (batch,), `labels` (batch, classes)
        the names of the scores. Several: `scores` and `labels` likewise, and `predicted`, 0 or 1
        for each, int32. Numbers: `value`, float32 (batch,) or, of several, `values` (batch,
        numbers) and their names as `labels`.
        """

        def classify(text, text_pair=None):
            return ANSWERS[self.problem.outputs_are](
                self.problem, task(self.features(text, text_pair), training=False)
            )

        return ((TEXT, TEXT_PAIR) if self.pair else (TEXT,)), classify
