"""Similar words of equally many tokens, which replace words instead of [MASK]."""

from __future__ import annotations

import functools
import os
from types import ModuleType
from typing import Any

import numpy as np

from kerasbert.data import graph_ops
from kerasbert.data.pretraining.word_vectors import nearest, read_word_vectors
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.tokenizer import Tokenizer

_SIMILAR = 10  # words for each
_LEAST = 0.5  # cosine similarity
_MOST_TOKENS = 8  # of a word
_LARGEST = 2**31 - 1


class SimilarWords:
    """Words by their tokens, and for each up to 10 similar words of as many tokens.

    Words are found in rows of ids by a prefix tree, so that the ids alone determine what is found.

    Args:
        words: tuples of ids, without repetition.
        similar: int, (words, ...), indices of words of as many tokens, and then -1. Each word has
            at least one.
        vocabulary_size: integer, larger than all ids.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "the", "##s"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> vectors = "cat 1 0\\ndog 0.9 0.1\\nthe 0 1\\ncats 1 0.1\\ndogs 0.9 0.2\\n"
        >>> size = pathlib.Path("vectors.txt").write_text(vectors)
        >>> similar = kerasbert.data.pretraining.SimilarWords.of("vectors.txt", tokenizer)
        >>> similar.words
        ((5,), (6,), (5, 8), (6, 8))
        >>> similar.similar_to((5, 8))
        [(6, 8)]

        They are an argument of `PretrainingBatches`.
    """

    def __init__(self, words: Any, similar: np.ndarray, vocabulary_size: int):
        self.words = tuple(words)
        self._similar = similar
        self._size = vocabulary_size
        self._longest = max(map(len, self.words))
        tokens = np.full((len(self.words), self._longest), -1)
        for row, word in zip(tokens, self.words, strict=True):
            row[: len(word)] = word
        keys, nodes = _prefix_tree(tokens, vocabulary_size)
        word_of = np.full(len(keys) + 1, -1)
        word_of[nodes] = np.arange(len(self.words))
        counts = (similar >= 0).sum(axis=1)
        self._arrays = keys, word_of, counts, similar.reshape(-1), tokens.reshape(-1)

    @classmethod
    def of(cls, path: str | os.PathLike[str], tokenizer: Tokenizer) -> SimilarWords:
        """Compares the words of a file of word vectors.

        Only words of equally many tokens are compared, and those are kept that have another one
        with a cosine similarity of 0.5 or more. Words with unknown tokens or with more than 8
        tokens are left out.

        Args:
            path: path of the file, see `read_word_vectors`.
            tokenizer: `Tokenizer` of the text.

        Raises:
            InputError: the file is malformed, or none of its words can be used.

        Examples:
            >>> len(kerasbert.data.pretraining.SimilarWords.of("vectors.txt", tokenizer).words)
            4
        """
        texts, vectors = read_word_vectors(path)
        special, found = {*tokenizer.special_token_ids}, {}
        for number, ids in enumerate(tokenizer.tokenize_words(texts).to_list()):
            if len(ids) <= _MOST_TOKENS and special.isdisjoint(ids):
                found.setdefault(tuple(ids), number)
        if not found:
            raise InputError(
                f"{path}: none of its {len(texts):,} words consists of tokens of the vocabulary"
            )
        words: list[tuple[int, ...]] = []
        tables = []
        for length in sorted({len(word) for word in found}):
            group = [word for word in found if len(word) == length]
            similar = nearest(vectors[[found[word] for word in group]], _SIMILAR, _LEAST)
            # A word that is similar to one has a similar one itself.
            kept = np.flatnonzero(similar[:, 0] >= 0)
            number = np.full(len(group) + 1, -1)  # -1 stays -1
            number[kept] = len(words) + np.arange(len(kept))
            tables.append(number[similar[kept]])
            words += [group[index] for index in kept]
        if not words:
            raise InputError(
                f"{path}: none of its {len(found):,} words of the vocabulary has a similar one (a "
                f"cosine similarity of {_LEAST} or more) with as many tokens"
            )
        return cls(words, np.concatenate(tables), tokenizer.vocabulary_size)

    def similar_to(self, word: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Returns the similar words of a word, the most similar first.

        Args:
            word: tuple of ids, one of `words`.

        Examples:
            >>> similar.similar_to((6,))
            [(5,)]
        """
        row = self._similar[self.words.index(word)]
        return [self.words[index] for index in row if index >= 0]

    def replaced(
        self, ops: ModuleType, ids: Any, positions: Any, first: Any, last: Any, seed: Any
    ) -> Any:
        """Replaces words by similar ones, each drawn with equal probability.

        Args:
            ops: `graph_ops` or `array_ops`.
            ids: int32, (rows, sequence), the ids of rows.
            positions: int32, (rows, positions), the tokens to replace.
            first: int32, of the same shape, the position of the first token of each one's word.
            last: the same of the last token.
            seed: integers, (2,). Tokens of one word get tokens of one similar word.

        Returns:
            int32, of the same shape: the token at the same place of the similar word, or -1 if
            there is none.
        """
        keys, word_of, counts, similar, tokens = self._tables(ops)
        node = ops.cast(positions * 0, "int64")
        for more in range(self._longest):
            at = first + more
            token = ops.gather_in_rows(ids, ops.minimum(at, last))
            key = node * self._size + ops.cast(token, "int64")
            place = ops.maximum(ops.last_at_or_before(keys, key), 0)
            child = ops.where(ops.gather(keys, place) == key, place + 1, -1)
            node = ops.where(at <= last, child, node)
        word = ops.gather(word_of, ops.maximum(node, 0))
        is_found = (node > 0) & (word >= 0) & (last - first < self._longest)
        word = ops.maximum(word, 0)
        draw = ops.gather_in_rows(ops.integers(ids, seed, _LARGEST), first)
        choice = ops.cast(draw, "int64") % ops.gather(counts, word)
        other = ops.gather(similar, word * self._similar.shape[1] + choice)
        place = ops.cast(ops.minimum(positions - first, self._longest - 1), "int64")
        token = ops.gather(tokens, other * self._longest + place)
        return ops.cast(ops.where(is_found, token, -1), "int32")

    def _tables(self, ops: ModuleType) -> tuple[Any, ...]:
        return self._tensors if ops is graph_ops else self._arrays

    @functools.cached_property
    def _tensors(self) -> tuple[tf.Tensor, ...]:
        # Arrays would be constants of each graph, and so would tensors that are made inside.
        with tf.init_scope(), tf.device("CPU"):
            return tuple(map(tf.constant, self._arrays))


def _prefix_tree(words: np.ndarray, vocabulary_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the tree of all prefixes of words, which are rows of ids and then -1.

    Nodes are numbered level by level, so that the keys of all levels together ascend.

    Returns:
        For each node but the root, 0, in order: `vocabulary_size` times its parent, plus its token.
        And the node of each word.
    """
    node, keys, total = np.zeros(len(words), np.int64), [], 0
    for column in words.T:
        here = column >= 0
        level, index = np.unique(node[here] * vocabulary_size + column[here], return_inverse=True)
        node[here] = total + 1 + index
        total += len(level)
        keys.append(level)
    return np.concatenate(keys), node
