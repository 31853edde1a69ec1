"""Exact nearest-neighbor search by cosine similarity."""

from typing import Any

import numpy as np

from kerasbert.errors import InputError

# Corpus rows and queries per matrix product, to bound the memory.
_BLOCK, _QUERIES = 65_536, 256


def nearest(queries: np.ndarray, corpus: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """Implements `TextEmbedder.search` on embeddings of queries."""
    queries = unit(queries)
    best = np.zeros((len(queries), 0), "float32")
    rows = np.zeros((len(queries), 0), "int64")
    for start in range(0, len(corpus), _BLOCK):
        block = unit(corpus[start : start + _BLOCK]).T
        found = [
            _best(queries[first : first + _QUERIES] @ block, top_k)
            for first in range(0, max(1, len(queries)), _QUERIES)
        ]
        scores, numbers = (np.concatenate(parts) for parts in zip(*found, strict=True))
        both = np.concatenate([best, scores], axis=1)
        rows = np.concatenate([rows, start + numbers], axis=1)
        best, order = _best(both, top_k)
        rows = np.take_along_axis(rows, order, axis=1)
    return best, rows


def _best(scores: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the highest scores of each row, and their columns: of equal ones, the first."""
    # A copy: the order of all columns must not be kept.
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k].copy()
    return np.take_along_axis(scores, order, axis=1), order


def checked_corpus(corpus: Any, dim: int) -> np.ndarray:
    """Returns embeddings of a corpus as an array, (texts, dim).

    Args:
        corpus: the argument of `TextEmbedder.search`.
        dim: numbers per embedding.

    Raises:
        InputError: it has another form.
    """
    try:
        array = np.asarray(corpus)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    if array.dtype.kind in "USOT" and array.ndim:
        raise InputError(
            "the corpus of search must be embeddings, found texts or objects; embed them once: "
            "search(queries, model.embed(texts))"
        )
    if array.ndim != 2 or array.shape[1] != dim:
        raise InputError(
            f"the corpus of search must be embeddings of this model, of the shape (texts, {dim}); "
            f"found {array.shape if array.ndim else type(corpus).__name__}"
        )
    return array


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scales vectors to length 1, float32; zeros stay zeros."""
    vectors = np.asarray(vectors, "float32")
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
