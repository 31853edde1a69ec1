"""Exact nearest-neighbor search by cosine similarity."""

from typing import Any

import numpy as np

from kerasbert.errors import InputError

_BLOCK = 65_536  # corpus rows per matrix product, to bound the memory


def nearest(queries: np.ndarray, corpus: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """Implements `TextEmbedder.search` on embeddings of queries."""
    queries = unit(queries)
    best = np.zeros((len(queries), 0), "float32")
    rows = np.zeros((len(queries), 0), "int64")
    for start in range(0, len(corpus), _BLOCK):
        block = queries @ unit(corpus[start : start + _BLOCK]).T
        best = np.concatenate([best, block], axis=1)
        here = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
        rows = np.concatenate([rows, here], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :top_k]
        best, rows = (np.take_along_axis(each, order, axis=1) for each in (best, rows))
    return best, rows


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
