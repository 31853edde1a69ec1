"""Several corpora as one, from which examples are drawn in fixed shares."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np

from kerasbert.data.corpus.reader import Corpus, same_vocabulary
from kerasbert.data.corpus.statistics import estimated_counts
from kerasbert.data.pretraining.packed import PackedRows
from kerasbert.data.pretraining.windows import Windows
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf

_MOST_SLOTS = 1_000_000


class Mixture:
    """Corpora with weights, read like one `Corpus` that has all their tokens, one after the other.

    Args:
        corpora: two or more of `Corpus`, prepared with the same tokenizer.
        weights: a positive number for each: the examples drawn from it, relative to the others.

    Raises:
        InputError: the tokenizers differ, or the weights are not as many as the corpora, not
            positive or finite, or have too many digits.

    Attributes:
        corpora: the corpora.
        shares: integers, how many of `sum(shares)` consecutive examples are drawn from each.
        directory: the directories' names, as a path, for messages.
        tokenizer: `Tokenizer` that produced the ids.
        has_words: bool, whether a corpus says which tokens continue a word; the tokenizer says it
            of the others.
        token_starts: int64, (corpora + 1,), the position of the first token of each corpus.

    Examples:
        Three quarters of the examples are drawn from one corpus:

        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> text = "The dog barks. The dog.\\n\\nThe dog barks. It barks.\\n"
        >>> size = pathlib.Path("text.txt").write_text(text)
        >>> corpora = []
        >>> for name in ("encyclopedia", "news"):
        ...     manifest = kerasbert.data.prepare_corpus(["text.txt"], tokenizer, name)
        ...     corpora.append(kerasbert.data.Corpus(name))
        >>> mixture = kerasbert.data.pretraining.Mixture(corpora, weights=[3, 1])
        >>> mixture.described()
        'encyclopedia 0.75, news 0.25'
        >>> batches = kerasbert.data.PretrainingBatches(mixture, 4, 16, objective="mlm")
    """

    def __init__(self, corpora: Sequence[Corpus], weights: Sequence[Fraction | float]):
        same_vocabulary(corpora)
        if len(weights) != len(corpora):
            raise InputError(
                f"expected one weight for each of the {len(corpora)} corpora, found {len(weights)}"
            )
        if not all(0 < weight < math.inf for weight in weights):
            raise InputError("the weight of a corpus must be more than 0, and finite")
        self.corpora = tuple(corpora)
        self.shares = _shares(weights)
        self.tokenizer = corpora[0].tokenizer
        self.directory = pathlib.Path(" + ".join(corpus.directory.name for corpus in corpora))
        self.has_words = any(corpus.has_words for corpus in corpora)
        self.token_starts = np.cumsum([0, *(corpus.num_tokens for corpus in corpora)])

    def described(self) -> str:
        """Returns the name and the share of each corpus, as a string."""
        total = sum(self.shares)
        named = zip(self.corpora, self.shares, strict=True)
        return ", ".join(f"{corpus.directory.name} {share / total:.3g}" for corpus, share in named)

    def tokens_at(self, positions: np.ndarray) -> np.ndarray:
        """Returns the ids at positions; see `Corpus.tokens_at`.

        Args:
            positions: integers, of any shape.

        Examples:
            >>> import numpy as np
            >>> positions = np.array([0, 14])  # the first token of each corpus
            >>> mixture.tokens_at(positions).tolist()
            [5, 5]
        """
        return self._values_at(positions, lambda corpus: corpus.tokens_at)

    def read(self, starts: tf.Tensor, ends: tf.Tensor) -> tf.RaggedTensor:
        """Reads ranges of tokens, each of one corpus; see `Corpus.read`.

        Args:
            starts: int64, (rows,), the first token of each range.
            ends: int64, (rows,), the end of each range, exclusive.

        Examples:
            >>> import tensorflow as tf
            >>> starts, ends = tf.constant([0, 14], tf.int64), tf.constant([4, 17], tf.int64)
            >>> mixture.read(starts, ends).to_list()
            [[5, 6, 7, 8], [5, 6, 7]]
        """
        return self._ranges(starts, ends, lambda corpus: corpus.read)

    def word_marks_at(self, positions: np.ndarray) -> np.ndarray:
        """Returns the marks of words; see `Corpus.word_marks_at`.

        Args:
            positions: integers, of any shape.

        Examples:
            >>> import numpy as np
            >>> mixture.word_marks_at(np.array([0, 14])).tolist()
            [-1, -1]
        """
        return self._values_at(positions, lambda corpus: corpus.word_marks_at)

    def read_word_marks(self, starts: tf.Tensor, ends: tf.Tensor) -> tf.RaggedTensor:
        """Reads the marks of words; see `Corpus.read_word_marks`.

        Args:
            starts: int64, (rows,), the first token of each range.
            ends: int64, (rows,), the end of each range, exclusive.

        Examples:
            >>> import tensorflow as tf
            >>> starts, ends = tf.constant([0], tf.int64), tf.constant([2], tf.int64)
            >>> mixture.read_word_marks(starts, ends).to_list()
            [[-1, -1]]
        """
        return self._ranges(starts, ends, lambda corpus: corpus.read_word_marks)

    def token_counts(self) -> np.ndarray:
        """Counts the occurrences of each id in all corpora; see `Corpus.token_counts`.

        Examples:
            >>> dict(zip(words, mixture.token_counts().tolist()))["dog"]
            6
        """
        return np.sum([corpus.token_counts() for corpus in self.corpora], axis=0)

    def _values_at(self, positions: np.ndarray, reading: Callable) -> np.ndarray:
        values = np.empty(positions.shape, np.int32)
        number = np.searchsorted(self.token_starts, positions, side="right") - 1
        for index in np.unique(number):
            here = number == index
            values[here] = reading(self.corpora[index])(positions[here] - self.token_starts[index])
        return values

    def _ranges(self, starts: tf.Tensor, ends: tf.Tensor, reading: Callable) -> tf.RaggedTensor:
        parts = []
        for index, corpus in enumerate(self.corpora):
            first, end = self.token_starts[index : index + 2]
            mine = (starts >= first) & (starts < end)
            bounds = (tf.where(mine, bound - first, 0) for bound in (starts, ends))
            parts.append(reading(corpus)(*bounds))
        return tf.concat(parts, axis=1)  # all parts of a row but one are empty


class MixedWindows:
    """The windows or packed rows of a `Mixture`, with the methods of `Windows` and `PackedRows`.

    Of every `sum(shares)` consecutive examples, each corpus has exactly its share, in an order that
    depends on the seed. A corpus goes through its own epochs.

    Args:
        mixture: `Mixture`.
        make: function that returns the windows, or the packed rows, of one `Corpus`.
        ops: `graph_ops` or `array_ops`.
        seed: integer, determines the order.
    """

    def __init__(
        self,
        mixture: Mixture,
        make: Callable[[Corpus], Windows | PackedRows],
        ops: ModuleType,
        seed: int,
    ):
        self._ops = ops
        self._seed = seed
        self._shares = mixture.shares
        self._token_starts = mixture.token_starts
        self.of_corpora: list[Any] = [make(corpus) for corpus in mixture.corpora]
        self.count = sum(windows.count for windows in self.of_corpora)

    def epochs(self, examples: int) -> tuple[float, ...]:
        """Returns how often so many examples go through each corpus."""
        total = sum(self._shares)
        return tuple(
            examples * share / total / windows.count
            for share, windows in zip(self._shares, self.of_corpora, strict=True)
        )

    def ranges(self, index: Any) -> tuple[Any, ...]:
        """Returns start and end of windows; see `Windows.ranges`."""
        return self._chosen(index, lambda windows, own: windows.ranges(own))

    def pairs(self, index: Any, seed: Any, objective: str) -> tuple[Any, ...]:
        """Splits windows in two; negative examples are of the same corpus. See `Windows.pairs`."""

        def flat(windows, own):
            first, second, labels = windows.pairs(own, seed, objective)
            return *first, *second, labels

        *bounds, labels = self._chosen(index, flat, unshifted=1)
        return tuple(bounds[:2]), tuple(bounds[2:]), labels

    def rows(self, index: Any) -> tuple[Any, ...]:
        """Returns what is in packed rows; see `PackedRows.rows`."""
        return self._chosen(index, lambda packed, own: packed.rows(own), unshifted=2)

    def check_negatives(self) -> None:
        """Raises `InputError` if a corpus has no other document for a negative example of NSP."""
        for windows in self.of_corpora:
            windows.check_negatives()

    def corpus_of(self, index: Any) -> tuple[Any, ...]:
        """Returns the number of each example's corpus, and the number of the example in it.

        Args:
            index: int64, (rows,), the numbers of the examples.
        """
        ops, total = self._ops, sum(self._shares)
        block = index // total
        slot = ops.shuffled(index % total, self._seed, block, 2, total)
        ends = np.cumsum([0, *self._shares])
        corpus = ops.last_at_or_before(ends, slot)
        shares, firsts = np.array(self._shares), ends[:-1]
        return corpus, block * ops.gather(shares, corpus) + slot - ops.gather(firsts, corpus)

    def _chosen(self, index, draw: Callable, unshifted: int = 0) -> tuple:
        """Draws from all corpora and returns, for each row, what its corpus gave.

        Args:
            index: as in `corpus_of`.
            draw: function from `Windows` and the numbers of examples to a tuple.
            unshifted: the number of last elements of the tuple that are no positions of tokens.
        """
        ops = self._ops
        corpus, own = self.corpus_of(index)
        chosen = ()
        for number, windows in enumerate(self.of_corpora):
            mine = corpus == number
            drawn = draw(windows, ops.where(mine, own, 0))
            count = len(drawn) - unshifted
            shifted = [bound + self._token_starts[number] for bound in drawn[:count]]
            drawn = (*shifted, *drawn[count:])
            chosen = chosen or drawn
            chosen = tuple(
                ops.where(mine[:, np.newaxis] if len(new.shape) > 1 else mine, new, old)
                for new, old in zip(drawn, chosen, strict=True)
            )
        return chosen


def _shares(weights: Sequence[Fraction | float]) -> tuple[int, ...]:
    """Returns the smallest integers in the ratio of the weights."""
    # By its digits, the float 0.7 is 7/10; its value is another fraction, of 16 digits.
    fractions = [Fraction(str(weight)) for weight in weights]
    common = math.lcm(*(fraction.denominator for fraction in fractions))
    whole = [int(fraction * common) for fraction in fractions]
    shares = tuple(number // math.gcd(*whole) for number in whole)
    if sum(shares) > _MOST_SLOTS:
        raise InputError("the weights of corpora have too many digits; give two or three")
    return shares


def counts_without_words(corpus: Corpus | Mixture) -> np.ndarray | None:
    """Estimates how often each id occurs in the corpora without words; None if all have words."""
    corpora = corpus.corpora if isinstance(corpus, Mixture) else (corpus,)
    counts = [estimated_counts(one) for one in corpora if not one.has_words]
    return np.sum(counts, axis=0) if counts else None


def most_frequent_token(corpus: Corpus | Mixture) -> int:
    """Returns the most frequent ordinary token of a corpus, the prediction of the baseline."""
    counts = corpus.token_counts()
    counts[corpus.tokenizer.special_token_ids] = 0
    return int(np.argmax(counts))
