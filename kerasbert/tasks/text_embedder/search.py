"""Exact nearest-neighbor search by cosine similarity."""

import numpy as np

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


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scales vectors to length 1, float32; zeros stay zeros."""
    vectors = np.asarray(vectors, "float32")
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
