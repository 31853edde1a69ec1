"""Batches that NumPy draws, as a data set of Keras."""

import functools
from typing import Any

import keras


class DrawnBatches(keras.utils.PyDataset):
    """Batches that are drawn on access, with the methods of a dataset that pretraining needs.

    Args:
        batch: function from an integer step to a batch.
        start: integer, the step of the first batch.
        steps: integer, the number of batches, or None for infinitely many.
    """

    #: Shows that each batch belongs to its step; see `kerasbert.data.inputs.has_own_order`.
    keeps_order = True

    def __init__(self, batch: Any, start: int = 0, steps: int | None = None):
        super().__init__()
        self.batch, self.start, self.steps = batch, start, steps

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None for infinitely many."""
        return self.steps

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Returns batch number `index`, counted from `start`."""
        return self.batch(self.start + index)

    def take(self, count: int) -> "DrawnBatches":
        """Returns the first `count` batches."""
        return DrawnBatches(self.batch, self.start, count)

    def cache(self) -> "DrawnBatches":
        """Returns the same batches, each drawn only once."""
        return DrawnBatches(functools.cache(self.batch), self.start, self.steps)

    def as_numpy_iterator(self) -> Any:
        """Iterates over the batches."""
        return iter(self)
