"""Outputs as arrays: those of several batches as one, and logits as probabilities."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np


def concatenated(arrays: Sequence[np.ndarray], padding: float = 0.0) -> np.ndarray:
    """Concatenates arrays along the first axis; their other axes are padded to the longest.

    Args:
        arrays: arrays of the same rank and dtype, at least one.
        padding: value of elements that an array does not have.
    """
    longest = np.max([array.shape for array in arrays], axis=0)[1:]
    if all(array.shape[1:] == tuple(longest) for array in arrays):
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    joined = np.full((sum(map(len, arrays)), *longest), padding, arrays[0].dtype)
    start = 0
    for array in arrays:
        joined[(slice(start, start + len(array)), *map(slice, array.shape[1:]))] = array
        start += len(array)
    return joined


def joined(batches: Iterator[Any], padding: float = 0.0) -> Any:
    """Concatenates the outputs of batches, at least one; each is an array or a dict of arrays."""
    return keras.tree.map_structure(lambda *arrays: concatenated(arrays, padding), *batches)


def dense(output: Any, padding: float = 0.0) -> np.ndarray:
    """Returns an output of Keras's `predict` as an array.

    If batches differ in length, Keras concatenates them to a ragged tensor, which is padded.
    """
    return output.to_tensor(padding).numpy() if hasattr(output, "to_tensor") else output


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the softmax over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
