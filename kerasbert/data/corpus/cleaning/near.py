"""Near-duplicates of documents by MinHash (Broder 1997) and locality-sensitive hashing.

A document is the set of its runs of 5 words; a CJK character counts as a word. Two documents are
near-duplicates if the Jaccard similarity of these sets, as estimated from 120 minima, is at least
0.8. Candidates are documents that agree in one of 20 bands of 6 minima, which finds 99.8 % of pairs
at 0.8. 16 bits are kept of each minimum (b-bit minwise hashing, Li and König 2010).
"""

from __future__ import annotations

import re

import numpy as np

from kerasbert import lazy

THRESHOLD = 0.8
_WORDS, _BANDS, _ROWS = 5, 20, 6
_MINIMA = _BANDS * _ROWS
_SEED = 1
# Documents that share boilerplate, but are not similar enough, would all be compared otherwise.
_MOST_IN_BUCKET = 64
_BATCH = 1 << 20  # characters that are hashed in one call
_CJK = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_CJK}]|[^\\W{_CJK}]+")
# Odd numbers, of which each word of a run is multiplied by another; and those of splitmix64.
_FACTORS = np.array([0x9E3779B97F4A7C15 ** (k + 1) % 2**64 | 1 for k in range(_WORDS)], np.uint64)
_MIX = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)


class Signatures:
    """Signatures of documents, 240 bytes each.

    Raises:
        InputError: rensa is not installed.
    """

    def __init__(self):
        self._rensa = lazy.extra("rensa", "rensa").RMinHash
        self._waiting: list[list[str]] = []
        self._characters = 0
        self._blocks: list[np.ndarray] = []

    def add(self, lines: list[str]) -> None:
        """Adds a document, a list of lines."""
        text = "\n".join(lines).lower()
        # Without any word, only the same text is similar.
        self._waiting.append(_WORD.findall(text) or [text])
        self._characters += len(text)
        if self._characters >= _BATCH:
            self._compute()

    def finish(self) -> np.ndarray:
        """Returns the signatures of all documents: uint16, (documents, 120)."""
        if self._waiting:
            self._compute()
        blocks = self._blocks
        return np.concatenate(blocks) if blocks else np.empty((0, _MINIMA), np.uint16)

    def _compute(self) -> None:
        hashed = self._rensa.hash_token_sets(self._waiting)
        runs = [_runs(np.array(hashes, np.uint64)) for hashes in hashed]
        starts = np.cumsum([0, *map(len, runs)], dtype=np.uint64)
        minima = self._rensa.digest_matrix_from_flat_token_hashes(
            np.concatenate(runs), starts, _MINIMA, _SEED
        )
        low = np.array(minima.to_rows(), np.uint32) & 0xFFFF
        self._blocks.append(low.astype(np.uint16))
        self._waiting, self._characters = [], 0


def _runs(words: np.ndarray) -> np.ndarray:
    """Returns a hash of every run of 5 words, or of all words if there are fewer."""
    if len(words) < _WORDS:
        words = np.pad(words, (0, _WORDS - len(words)))
    count = len(words) - _WORDS + 1
    mixed = np.zeros(count, np.uint64)
    for k, factor in enumerate(_FACTORS):
        mixed += words[k : k + count] * factor
    return _scrambled(mixed)


def _scrambled(numbers: np.ndarray) -> np.ndarray:
    """Scrambles 64-bit numbers in place, as splitmix64 does."""
    numbers ^= numbers >> np.uint64(30)
    numbers *= _MIX[0]
    numbers ^= numbers >> np.uint64(27)
    numbers *= _MIX[1]
    numbers ^= numbers >> np.uint64(31)
    return numbers


def similar_earlier(signatures: np.ndarray) -> dict[int, int]:
    """Finds documents that are near-duplicates of an earlier one that is kept.

    Args:
        signatures: uint16, (documents, 120).

    Returns:
        Dict from the number of each document that is to be left out to that of the most similar
        earlier one that is kept.
    """
    documents, buckets = _shared_buckets(signatures)
    if not len(documents):
        return {}
    found: dict[int, int] = {}
    kept: dict[int, list[int]] = {}  # by bucket
    begins = np.flatnonzero(np.diff(documents, prepend=-1))
    for document, of_document in zip(
        documents[begins].tolist(), np.split(buckets, begins[1:]), strict=True
    ):
        of_document = of_document.tolist()
        others = sorted({other for bucket in of_document for other in kept.get(bucket, ())})
        similar = _most_similar(signatures, document, others)
        if similar is not None:
            found[document] = similar
            continue
        for bucket in of_document:
            inside = kept.setdefault(bucket, [])
            if len(inside) < _MOST_IN_BUCKET:
                inside.append(document)
    return found


def _most_similar(signatures: np.ndarray, document: int, others: list[int]) -> int | None:
    """Returns the document that is most similar, if it is a near-duplicate."""
    if not others:
        return None
    similarity = np.mean(signatures[others] == signatures[document], axis=1)
    best = int(np.argmax(similarity))
    return others[best] if similarity[best] >= THRESHOLD else None


def _shared_buckets(signatures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the buckets of more than one document.

    Returns:
        Documents, in order and as often as they share a bucket with others, and the numbers of
        these buckets.
    """
    documents, buckets, count = [], [], 0
    for band in range(_BANDS):
        rows = signatures[:, band * _ROWS : (band + 1) * _ROWS]
        keys = np.zeros(len(rows), np.uint64)
        for row in rows.T:
            keys = _scrambled(keys * _FACTORS[0] + row)
        order = np.argsort(keys, kind="stable")
        same = np.diff(keys[order]) == 0
        shared = np.flatnonzero(np.r_[same, False] | np.r_[False, same])
        documents.append(order[shared])
        first_of_bucket = ~np.r_[False, same][shared]
        buckets.append(count + np.cumsum(first_of_bucket))
        count += np.count_nonzero(first_of_bucket)
    documents, buckets = np.concatenate(documents), np.concatenate(buckets)
    order = np.argsort(documents, kind="stable")
    return documents[order], buckets[order]
