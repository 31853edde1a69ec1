"""The merges of byte-level BPE, applied to many words at once, as TensorFlow ops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerasbert.lazy import tensorflow as tf
from kerasbert.text.bytepair_files import CHARACTERS, token_bytes
from kerasbert.text.normalization import CUT

# The rank of a pair without a merge. It is also what `unsorted_segment_min` returns for an empty
# segment.
_NEVER = np.iinfo(np.int32).max
# String ops run on the CPU only, and many small ops would be slower on an accelerator.
_DEVICE = "/cpu:0"
# Sorts after every key of a table.
_LAST = np.iinfo(np.int64).max


class ByteMerges:
    """Converts words to token ids: by lookup of the whole word, otherwise by merging its bytes.

    Args:
        vocabulary: the tokens in the order of their ids, those of the model first.
        size: the number of the model's tokens.
        merges: int64, (merges, 3). The ids of the left part, the right part and the result of each
            merge.
        unknown_id: the id of a byte that is not in the vocabulary.
    """

    def __init__(self, vocabulary: Sequence[str], size: int, merges: np.ndarray, unknown_id: int):
        self._size, self._unknown_id = size, unknown_id
        with tf.init_scope(), tf.device(_DEVICE):
            self._make_merge_table(vocabulary, merges)
            self._make_word_table(vocabulary[:size])

    def spell(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Returns the token ids of each word: int32, ragged, (words, tokens)."""
        with tf.device(_DEVICE):
            return self._look_up(words)

    # === Tables ===

    def _make_merge_table(self, vocabulary: Sequence[str], merges: np.ndarray) -> None:
        """Makes the tables of byte ids, sorted keys of pairs, their ranks, and results by rank."""
        parts, results = merges[:, :2], merges[:, 2]
        ranks = np.arange(len(results))
        # If a pair is listed twice, the last one is used, as in `tokenizers`.
        keys, backwards = np.unique((parts @ [self._size, 1])[::-1], return_index=True)
        # The last entry matches no pair, so that every search returns a valid index.
        self._pair_keys = tf.constant(np.append(keys, _LAST), tf.int64)
        self._pair_ranks = tf.constant(np.append(ranks[::-1][backwards], _NEVER), tf.int32)
        self._results = tf.constant(results, tf.int32)
        ids = {subword: id for id, subword in enumerate(vocabulary[: self._size])}
        byte_ids = [ids.get(character, self._unknown_id) for character in CHARACTERS]
        self._byte_ids = tf.constant(byte_ids, tf.int32)
        # In the merges of a trained tokenizer, a token is produced before it is used.
        made = np.full(self._size, -1)
        np.maximum.at(made, results, ranks)
        self._ordered = bool(np.all(made[parts] < ranks[:, None]))
        longest = max((len(token_bytes(vocabulary[int(id)])) for id in results), default=1)
        self._block = 2 * longest if self._ordered else _NEVER

    def _make_word_table(self, subwords: Sequence[str]) -> None:
        """Makes the table of tokens that the merges produce from their own bytes."""
        texts = tf.constant(np.array([*map(token_bytes, subwords)], object))
        spelled = self._join_pairs(texts)
        whole = tf.equal(spelled.row_lengths(), 1)
        first = tf.gather(spelled.values, tf.boolean_mask(spelled.row_starts(), whole))
        ids = tf.boolean_mask(tf.range(self._size), whole)
        ids = tf.boolean_mask(ids, tf.equal(ids, first))
        words = tf.gather(texts, ids)
        fingerprints = _fingerprint(words)
        order = tf.argsort(fingerprints)
        # The last entry matches no word, as above.
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

        The symbols of all words are stored one after the other in one vector. Each round joins the
        best pair of every word, at all its occurrences.

        A very long word would need one round for each of its pairs. Words are therefore divided
        into blocks of twice the longest token, and a pair is joined when it is the best in its own
        block and the two adjacent ones: only a token of better rank, made within these three
        blocks, could use one of its parts first. This requires that every token is produced before
        it is used. With other lists of merges, joining a pair can create a better one, and only one
        pair per word is joined in a round.
        """
        lengths = tf.strings.length(words)
        block_counts = -(-lengths // self._block)
        first_blocks = tf.cumsum(block_counts, exclusive=True)
        within = tf.ragged.range(lengths).values // self._block
        blocks = tf.repeat(first_blocks, lengths) + within
        # An additional symbol, a word by itself, gives every other symbol a right neighbor.
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
        """Returns the rank of the pair of symbols that starts at each of `positions`."""
        left = tf.cast(tf.gather(symbols, positions), tf.int64)
        right = tf.cast(tf.gather(symbols, positions + 1), tf.int64)
        keys = left * self._size + right
        index = tf.searchsorted(self._pair_keys, keys)
        joined = tf.equal(tf.gather(self._pair_keys, index), keys)
        joined &= tf.equal(tf.gather(words, positions), tf.gather(words, positions + 1))
        return tf.where(joined, tf.gather(self._pair_ranks, index), _NEVER)

    def _choose(self, ranks, blocks, block_words) -> tf.Tensor:
        """Returns the starts of the pairs to join in this round: int64, increasing."""
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
        return self._without_overlaps(ranks, positions)

    @staticmethod
    def _without_overlaps(ranks, positions) -> tf.Tensor:
        """Removes the pairs that overlap the pair on their left, such as the second one in "aaa".

        Every second pair is kept, counted from the start of a run of equal pairs. A run whose start
        is not among `positions` is left to a later round.
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
        """Joins the pairs that start at `positions`, and ranks the new pairs."""
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
