"""Preprocessing of the same text for two models."""

from __future__ import annotations

import dataclasses
from typing import Any

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.training.strategies import sharded


@dataclasses.dataclass(frozen=True)
class TwoPreprocessors:
    """Combines the preprocessors of a student and its teacher.

    Attributes:
        student: preprocessor whose features, labels and weights are kept as they are.
        teacher: preprocessor whose features are added.
        prefix: prefix of the names of the teacher's features.
    """

    student: Any
    teacher: Any
    prefix: str

    def with_few_lengths(self) -> TwoPreprocessors:
        """As in `Preprocessor`, of both."""
        return dataclasses.replace(
            self,
            student=self.student.with_few_lengths(),
            teacher=self.teacher.with_few_lengths(),
        )

    def batches(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> tf.data.Dataset:
        """Batches as `Preprocessor` does; text must not be a dataset."""
        if hasattr(x, "element_spec"):
            raise InputError(
                "teacher and student preprocess text differently, so it must be lists or arrays, "
                "not a tf.data.Dataset"
            )
        examples = x, y, sample_weight, batch_size
        return self._joined(
            self.student.batches(*examples, **kwargs), self.teacher.batches(*examples, **kwargs)
        )

    def training_batches(
        self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any
    ) -> tf.data.Dataset:
        """Batches as `Preprocessor` does."""
        examples = x, y, sample_weight
        return self._joined(
            self.student.training_batches(*examples, **kwargs),
            self.teacher.training_batches(*examples, **kwargs),
        )

    def _joined(self, own: tf.data.Dataset, theirs: tf.data.Dataset) -> tf.data.Dataset:
        def join(own, theirs):
            features, *rest = own if isinstance(own, tuple) else (own,)
            theirs = theirs[0] if isinstance(theirs, tuple) else theirs
            named = {f"{self.prefix}{name}": value for name, value in theirs.items()}
            return ({**features, **named}, *rest)

        # Both datasets are the same function of the same rows, so they have the same order.
        return sharded(tf.data.Dataset.zip(own, theirs).map(join))
