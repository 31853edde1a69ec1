"""Counts, lengths and samples of a corpus, in constant memory and time for any size."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from kerasbert.data.corpus.reader import CONTINUES, Corpus
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf

_MOST = 1 << 20  # documents and sentences whose lengths are measured
_MOST_TOKENS = 1 << 26  # tokens that are counted
_BLOCK = 1 << 20  # successive tokens
_PERCENTILES = (1, 10, 50, 90, 99)
_WIDEST = 50  # characters of the longest bar


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Lengths in tokens of evenly spaced documents or sentences.

    Attributes:
        lengths: (measured,), the lengths.
        count: integer, how many there are in the corpus.
    """

    lengths: np.ndarray
    count: int

    def summary(self) -> dict[str, Any]:
        """Returns mean, percentiles and maximum."""
        values = np.percentile(self.lengths, _PERCENTILES).round().astype(int).tolist()
        return {
            "mean": round(float(self.lengths.mean()), 1),
            **{f"p{name}": value for name, value in zip(_PERCENTILES, values, strict=True)},
            "max": int(self.lengths.max()),
            "measured": len(self.lengths),
        }

    def bins(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns, for lengths of 1, 2-3, 4-7, ..., the first, shares of items, and of tokens."""
        number = np.frexp(self.lengths)[1] - 1  # the whole part of the logarithm of base 2
        items, tokens = (np.bincount(number, weights) for weights in (None, self.lengths))
        return 2 ** np.arange(len(items)), items / items.sum(), tokens / tokens.sum()

    def text(self, title: str) -> list[str]:
        """Returns a histogram as lines of text."""
        firsts, items, tokens = self.bins()
        ranges = [f"{first:,} to {2 * first - 1:,}" if first > 1 else "1" for first in firsts]
        width = max(map(len, ranges))
        head = f"{'tokens'.rjust(width)}  {title.rjust(9)}  of tokens"
        bars = ["#" * round(_WIDEST * share / items.max()) for share in items]
        return [
            head,
            *(
                f"{where.rjust(width)}  {item:9.2%}  {token:9.2%}  {bar}".rstrip()
                for where, item, token, bar in zip(ranges, items, tokens, bars, strict=True)
            ),
        ]


def document_lengths(corpus: Corpus) -> Lengths:
    """Measures evenly spaced documents."""
    chosen = _spaced(corpus.num_documents, _MOST)
    ends = [corpus.sentences[corpus.documents[chosen + more]] for more in (0, 1)]
    return _lengths(ends, corpus.num_documents)


def sentence_lengths(corpus: Corpus) -> Lengths:
    """Measures evenly spaced sentences."""
    chosen = _spaced(len(corpus.sentences) - 1, _MOST)
    ends = [corpus.sentences[chosen + more] for more in (0, 1)]
    return _lengths(ends, len(corpus.sentences) - 1)


def _lengths(ends: list[np.ndarray], count: int) -> Lengths:
    lengths = ends[1] - ends[0]
    if np.any(lengths < 1):
        raise InputError("the indexes of this corpus are damaged; --verify finds the file")
    return Lengths(lengths, count)


def _spaced(count: int, most: int) -> np.ndarray:
    """Returns at most so many evenly spaced numbers below `count`."""
    if count <= most:
        return np.arange(count)
    return (np.arange(most) * (count / most)).astype(np.int64)


def _blocks(corpus: Corpus) -> Iterator[np.ndarray]:
    """Yields the positions of evenly spaced blocks of tokens."""
    starts = _spaced(-(-corpus.num_tokens // _BLOCK), _MOST_TOKENS // _BLOCK) * _BLOCK
    for start in starts.tolist():
        yield np.arange(start, min(start + _BLOCK, corpus.num_tokens))


def estimated_counts(corpus: Corpus) -> np.ndarray:
    """Estimates the occurrences of each id from evenly spaced blocks: float64 (vocabulary_size,).

    In a corpus of no more than 67 million tokens, all are counted.
    """
    counts, counted = np.zeros(corpus.tokenizer.vocabulary_size), 0
    for positions in _blocks(corpus):
        counts += np.bincount(corpus.tokens_at(positions), minlength=len(counts))
        counted += len(positions)
    return counts * (corpus.num_tokens / counted)


def token_shares(corpus: Corpus) -> dict[str, Any]:
    """Returns the share of unknown tokens, and of those that continue a word, if that is known."""
    unknown = continuing = counted = 0
    for positions in _blocks(corpus):
        unknown += np.count_nonzero(corpus.tokens_at(positions) == corpus.tokenizer.unknown_id)
        if corpus.has_words:
            continuing += np.count_nonzero(corpus.word_marks_at(positions) == CONTINUES)
        counted += len(positions)
    found = {"unknown_share": round(unknown / counted, 6)}
    if corpus.has_words:
        found["continues_word_share"] = round(continuing / counted, 6)
    return {**found, "counted_tokens": counted}


def samples(corpus: Corpus, count: int, tokens: int, seed: int) -> list[dict[str, Any]]:
    """Returns the beginnings of random documents, decoded, a string for each sentence.

    Args:
        corpus: `Corpus`.
        count: integer, the number of documents.
        tokens: integer, the maximum number of tokens of each.
        seed: integer.
    """
    chooser = np.random.default_rng(seed)
    count = min(count, corpus.num_documents)
    chosen = np.sort(chooser.choice(corpus.num_documents, count, replace=False))
    return [
        {"document": number, "sentences": _decoded(corpus, number, tokens)}
        for number in chosen.tolist()
    ]


def _decoded(corpus: Corpus, document: int, tokens: int) -> list[str]:
    first, end = corpus.documents[document : document + 2]
    bounds = corpus.sentences[first : min(end, first + tokens) + 1]
    bounds = np.minimum(bounds, bounds[0] + tokens)
    ids = [
        corpus.tokens_at(np.arange(*pair)).tolist()
        for pair in itertools.pairwise(bounds.tolist())
        if pair[0] < pair[1]
    ]
    if max(map(max, ids)) >= corpus.tokenizer.vocabulary_size:
        raise InputError(f"{corpus.directory}: is damaged; --verify finds the file")
    texts = corpus.tokenizer.detokenize(tf.ragged.constant(ids, tf.int32)).numpy()
    return [text.decode("utf-8", "replace") for text in texts]
