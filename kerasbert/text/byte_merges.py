"""The merges of byte-level BPE, applied to many words at once, as TensorFlow ops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerasbert.lazy import tensorflow as tf
from kerasbert.text.bytepair_files import CHARACTERS, token_bytes
from kerasbert.text.normalization import CUT

# The rank of a pair that no merge joins, and what TensorFlow takes for the minimum of nothing.
_NEVER = np.iinfo(np.int32).max
# Strings are there anyway, and so many small steps would only be slower elsewhere.
_DEVICE = "/cpu:0"
# Behind every key of a sorted table.
_LAST = np.iinfo(np.int64).max


class ByteMerges:
    """From words to the ids of their pieces: looked up where a word is a piece, else merged.

    Args:
        vocabulary: the pieces in the order of their ids, the model's first.
        size: how many of them are the model's.
        merges: the ids of left part, right part and result of every merge; int64, (merges, 3).
        unknown_id: of a byte that the vocabulary lacks.
    """

    def __init__(self, vocabulary: Sequence[str], size: int, merges: np.ndarray, unknown_id: int):
        self._size, self._unknown_id = size, unknown_id
        with tf.init_scope(), tf.device(_DEVICE):
            self._make_merge_table(vocabulary, merges)
            self._make_word_table(vocabulary[:size])

    def spell(self, words: tf.Tensor) -> tf.RaggedTensor:
        """The ids of each word: int32, ragged, (words, tokens)."""
        with tf.device(_DEVICE):
            return self._look_up(words)

    # === Tables ===

    def _make_merge_table(self, vocabulary: Sequence[str], merges: np.ndarray) -> None:
        """The ids of bytes, the pairs as sorted numbers with their ranks, and results by rank."""
        parts, results = merges[:, :2], merges[:, 2]
        ranks = np.arange(len(results))
        # Of a pair that is listed twice, the last line counts, as in `tokenizers`.
        keys, backwards = np.unique((parts @ [self._size, 1])[::-1], return_index=True)
        # The last entry is no pair's, so that a search always ends at an entry.
        self._pair_keys = tf.constant(np.append(keys, _LAST), tf.int64)
        self._pair_ranks = tf.constant(np.append(ranks[::-1][backwards], _NEVER), tf.int32)
        self._results = tf.constant(results, tf.int32)
        ids = {subword: id for id, subword in enumerate(vocabulary[: self._size])}
        byte_ids = [ids.get(character, self._unknown_id) for character in CHARACTERS]
        self._byte_ids = tf.constant(byte_ids, tf.int32)
        # In a list that training wrote, a piece is made before it is used.
        made = np.full(self._size, -1)
        np.maximum.at(made, results, ranks)
        self._ordered = bool(np.all(made[parts] < ranks[:, None]))
        longest = max((len(token_bytes(vocabulary[id])) for id in results), default=1)
        self._block = 2 * longest if self._ordered else _NEVER

    def _make_word_table(self, subwords: Sequence[str]) -> None:
        """The pieces that the merges make of their own bytes, sorted by fingerprint."""
        texts = tf.constant(np.array([*map(token_bytes, subwords)], object))
        spelled = self._join_pairs(texts)
        whole = tf.equal(spelled.row_lengths(), 1)
        first = tf.gather(spelled.values, tf.boolean_mask(spelled.row_starts(), whole))
        ids = tf.boolean_mask(tf.range(self._size), whole)
        ids = tf.boolean_mask(ids, tf.equal(ids, first))
        words = tf.gather(texts, ids)
        fingerprints = _fingerprint(words)
        order = tf.argsort(fingerprints)
        # As above: the last entry is no word's.
        self._fingerprints = tf.concat([tf.gather(fingerprints, order), [_LAST]], axis=0)
        self._words = tf.concat([tf.gather(words, order), [CUT]], axis=0)
        self._word_ids = tf.concat([tf.gather(ids, order), [self._unknown_id]], axis=0)

    # === Words to ids ===

    def _look_up(self, words: tf.Tensor) -> tf.RaggedTensor:
        index = tf.searchsorted(self._fingerprints, _fingerprint(words))
        known = tf.equal(tf.gather(self._words, index), words)
        ids = tf.gather(self._word_ids, index)
        counts = tf.ones_like(ids, tf.int64)

        def spell_the_others():
            others = tf.where(tf.logical_not(known))
            unique, which = tf.unique(tf.gather_nd(words, others))
            spelled = self._join_pairs(unique)
            new_counts = tf.gather(spelled.row_lengths(), which)
            new_starts = tf.gather(spelled.row_starts(), which) + tf.size(ids, tf.int64)
            all_counts = tf.tensor_scatter_nd_update(counts, others, new_counts)
            starts = tf.range(tf.size(ids, tf.int64))
            starts = tf.tensor_scatter_nd_update(starts, others, new_starts)
            positions = tf.ragged.range(starts, starts + all_counts).values
            return tf.gather(tf.concat([ids, spelled.values], axis=0), positions), all_counts

        values, counts = tf.cond(tf.reduce_all(known), lambda: (ids, counts), spell_the_others)
        return tf.RaggedTensor.from_row_lengths(values, counts, validate=False)

    def _join_pairs(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Applies the merges to each word's bytes: int32, ragged, (words, tokens).

        All words lie one after the other in one vector. A round joins the best pair of every word,
        wherever the word has it.

        So that a very long word does not take a round for each pair, words are cut into blocks of
        twice the longest piece, and a pair is joined as soon as it is the best of its own and the
        two neighbouring blocks: what could take a part of it away sooner would be a piece of better
        rank, made in these three blocks. That needs merges in which a piece is made before it is
        used. In other lists a join may make a better pair than itself, so one at a time is made.
        """
        lengths = tf.strings.length(words)
        block_counts = -(-lengths // self._block)
        first_blocks = tf.cumsum(block_counts, exclusive=True)
        within = tf.ragged.range(lengths).values // self._block
        blocks = tf.repeat(first_blocks, lengths) + within
        # One symbol more, a word of its own, so that every other symbol has a right neighbour.
        block_words = tf.repeat(tf.range(tf.size(words)), block_counts)
        block_words = tf.concat([block_words, [-1]], axis=0)
        blocks = tf.concat([blocks, [tf.size(block_words) - 1]], axis=0)
        data = tf.io.decode_raw(tf.strings.reduce_join(words), tf.uint8)
        symbols = tf.gather(self._byte_ids, tf.cast(data, tf.int32))
        symbols = tf.concat([symbols, [-1]], axis=0)
        positions = tf.range(tf.size(data, tf.int64))
        ranks = self._rank_pairs(symbols, tf.gather(block_words, blocks), positions)
        ranks = tf.concat([ranks, [_NEVER]], axis=0)

        def join(symbols, ranks, blocks):
            positions = self._choose(ranks, blocks, block_words)
            return self._join(symbols, ranks, blocks, block_words, positions)

        symbols, _, blocks = tf.while_loop(
            lambda symbols, ranks, blocks: tf.reduce_any(ranks < _NEVER),
            join,
            (symbols, ranks, blocks),
            shape_invariants=(tf.TensorShape([None]),) * 3,
        )
        rows = tf.cast(tf.gather(block_words, blocks[:-1]), tf.int64)
        nrows = tf.size(words, tf.int64)
        return tf.RaggedTensor.from_value_rowids(symbols[:-1], rows, nrows, validate=False)

    def _rank_pairs(self, symbols, words, positions) -> tf.Tensor:
        """The rank of the pair of symbols that starts at each of `positions`."""
        left = tf.cast(tf.gather(symbols, positions), tf.int64)
        right = tf.cast(tf.gather(symbols, positions + 1), tf.int64)
        keys = left * self._size + right
        index = tf.searchsorted(self._pair_keys, keys)
        joined = tf.equal(tf.gather(self._pair_keys, index), keys)
        joined &= tf.equal(tf.gather(words, positions), tf.gather(words, positions + 1))
        return tf.where(joined, tf.gather(self._pair_ranks, index), _NEVER)

    def _choose(self, ranks, blocks, block_words) -> tf.Tensor:
        """Where the pairs start that are to be joined now: int64, increasing."""
        best = tf.math.unsorted_segment_min(ranks, blocks, tf.size(block_words))
        same = tf.equal(block_words[1:], block_words[:-1])
        never = tf.constant([_NEVER])
        before = tf.concat([never, tf.where(same, best[:-1], _NEVER)], axis=0)
        after = tf.concat([tf.where(same, best[1:], _NEVER), never], axis=0)
        best = tf.minimum(best, tf.minimum(before, after))
        positions = tf.where((ranks < _NEVER) & tf.equal(ranks, tf.gather(best, blocks)))[:, 0]
        if not self._ordered:
            words = tf.gather(block_words, tf.gather(blocks, positions))
            first = tf.concat([[True], tf.not_equal(words[1:], words[:-1])], axis=0)
            return tf.boolean_mask(positions, first)
        return self._every_other(ranks, positions)

    @staticmethod
    def _every_other(ranks, positions) -> tf.Tensor:
        """Without the pairs that overlap one on their left, as the second in "aaa" does.

        The count starts where the run of equal pairs does; if that is not among `positions`, its
        turn has not come, and nor has the run's.
        """
        before = tf.gather(ranks, tf.maximum(positions - 1, 0))
        first = tf.equal(positions, 0) | tf.not_equal(before, tf.gather(ranks, positions))
        run = tf.cumsum(tf.cast(first, tf.int32)) - 1
        start = tf.gather(tf.where(first)[:, 0], tf.maximum(run, 0))
        distance = positions - tf.gather(positions, start)
        unbroken = tf.equal(distance, tf.range(tf.size(positions, tf.int64)) - start)
        chosen = (run >= 0) & unbroken & tf.equal(distance % 2, 0)
        return tf.boolean_mask(positions, chosen)

    def _join(self, symbols, ranks, blocks, block_words, positions):
        """Joins the pairs that start at `positions`, and ranks the pairs that come of it."""
        results = tf.gather(self._results, tf.gather(ranks, positions))
        symbols = tf.tensor_scatter_nd_update(symbols, positions[:, None], results)
        kept = tf.ones_like(symbols, tf.bool)
        gone = tf.zeros_like(positions, tf.bool)
        kept = tf.where(tf.tensor_scatter_nd_update(kept, positions[:, None] + 1, gone))[:, 0]
        symbols, ranks, blocks = (tf.gather(x, kept) for x in (symbols, ranks, blocks))
        positions -= tf.range(tf.size(positions, tf.int64))
        positions = tf.concat([tf.maximum(positions - 1, 0), positions], axis=0)
        new = self._rank_pairs(symbols, tf.gather(block_words, blocks), positions)
        return symbols, tf.tensor_scatter_nd_update(ranks, positions[:, None], new), blocks


def _fingerprint(words: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(words, 2**62)
