"""Masks of whole words, n-grams and spans, against the distributions that they should have."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from kerasbert.data import array_ops
from kerasbert.data.pretraining import masking as module
from kerasbert.data.pretraining.masking import Masking
from kerasbert.errors import InputError

SPECIAL = 5
SEED = (3, 4)
ROWS, LENGTH = 256, 256
NGRAMS = (0.4, 0.3, 0.2, 0.1)
SPANS = [0.2 * 0.8**more for more in range(10)]
SPANS = tuple(np.array(SPANS) / sum(SPANS))
WORD_UNITS = ("whole_word", "ngram", "span")
# A right program fails one such test in a thousand for another seed.
UNLIKELY = 1e-3


def rows_of_tokens(tokenizer, rows=ROWS, length=LENGTH):
    """Full rows, [CLS] ... [SEP], of ordinary tokens."""
    random = np.random.default_rng(0)
    ids = random.integers(SPECIAL, tokenizer.vocabulary_size, (rows, length), dtype=np.int32)
    ids[:, 0], ids[:, -1] = tokenizer.cls_id, tokenizer.sep_id
    return ids


def random_words(shape):
    """Bits that make words of 1 to 5 tokens; special tokens begin words."""
    continues = np.random.default_rng(1).random(shape) < 0.45
    continues[:, 0] = continues[:, 1] = continues[:, -1] = False
    return continues


def masked_places(masking, ids, continues=None, seed=SEED):
    """Which tokens are predicted, bool; and the ids after masking."""
    features, _, weights = masking({"token_ids": ids}, np.array(seed), continues)
    chosen = np.zeros(ids.shape, bool)
    row = np.broadcast_to(np.arange(len(ids))[:, None], weights.shape)
    chosen[row[weights == 1], features["mask_positions"][weights == 1]] = True
    return chosen, features["token_ids"]


def units_of(masking, ids, continues, seed=SEED):
    """The position at which each token's unit starts."""
    lengths = array_ops.split_seed(np.array(seed), 4)[3]
    candidate = ~masking.special[ids]
    return masking._units(array_ops, ids, candidate, continues, lengths).start


@pytest.mark.parametrize(("unit", "expected"), [("ngram", NGRAMS), ("span", SPANS)])
def test_lengths(tokenizer, unit, expected):
    ids = rows_of_tokens(tokenizer)
    single = np.zeros(ids.shape, bool)  # words of one token
    masking = Masking.of(tokenizer, mask_unit=unit)
    starts = units_of(masking, ids, single)
    chosen, _ = masked_places(masking, ids, single)
    drawn, used = np.zeros((2, len(expected)), int)
    for row in range(ROWS):
        firsts, sizes = np.unique(starts[row], return_counts=True)
        for first, size in zip(firsts, sizes, strict=True):
            # The others may be cut off by the end of the row.
            if 0 < first < LENGTH - len(expected):
                drawn[size - 1] += 1
                used[size - 1] += chosen[row, first]
    # The longer a span is, the fewer tokens are in those that may be chosen before it.
    before = LENGTH - 2 - np.arange(len(expected))
    for counted, shares in ((drawn, np.array(expected)), (used, expected / before)):
        shares = shares / shares.sum() * counted.sum()
        assert stats.chisquare(counted, shares).pvalue > UNLIKELY
    assert used.sum() > 2000
    mean = used @ np.arange(1, len(expected) + 1) / used.sum()
    assert mean == pytest.approx({"ngram": 2.0, "span": 3.8}[unit], abs=0.12)
    assert chosen.sum(axis=1).tolist() == [round(0.15 * (LENGTH - 2))] * ROWS


@pytest.mark.parametrize("unit", module.MASK_UNITS)
def test_every_token_is_as_likely_as_the_next(tokenizer, unit):
    ids = rows_of_tokens(tokenizer, 2000, 42)
    counts = sum(
        masked_places(
            Masking.of(tokenizer, 0.3, mask_unit=unit), ids, np.zeros(ids.shape, bool), (5, step)
        )[0].sum(axis=0)
        for step in range(3)
    )[1:-1]
    # Tokens of a span go together, so the counts of neighbors are not independent.
    together = {"token": 1, "whole_word": 1, "ngram": 2.5, "span": 5.6}[unit]
    deviation = np.sum((counts - counts.mean()) ** 2 / counts.mean()) / together
    assert stats.chi2.sf(deviation, len(counts) - 1) > UNLIKELY
    assert counts.sum() == 3 * 2000 * 12


@pytest.mark.parametrize("unit", WORD_UNITS)
@pytest.mark.parametrize("unknown", [False, True])
def test_words_of_the_corpus_are_never_split(tokenizer, unit, unknown):
    ids = rows_of_tokens(tokenizer)
    if unknown:
        ids[np.random.default_rng(2).random(ids.shape) < 0.05] = tokenizer.unknown_id
        ids[:, 0] = tokenizer.cls_id
    continues = random_words(ids.shape)
    chosen, after = masked_places(Masking.of(tokenizer, mask_unit=unit), ids, continues)
    words = np.cumsum(~continues, axis=1)
    whole = 0
    for row in range(ROWS):
        known = ids[row] >= SPECIAL
        for word in np.unique(words[row][chosen[row]]):
            inside = known & (words[row] == word)
            assert chosen[row][inside].all()
            whole += inside.sum() > 1
        assert not chosen[row][~known].any()
        budget = round(0.15 * known.sum())
        assert budget - 12 < chosen[row].sum() <= budget
    assert whole > 2000
    np.testing.assert_array_equal(after[~chosen], ids[~chosen])


@pytest.mark.parametrize("unit", module.MASK_UNITS)
def test_shares_of_masks_and_random_tokens(tokenizer, unit):
    ids = rows_of_tokens(tokenizer)
    masking = Masking.of(tokenizer, mask_unit=unit)
    single = np.zeros(ids.shape, bool)
    chosen, after = masked_places(masking, ids, single)
    now, before = after[chosen], ids[chosen]
    outcome = np.where(now == tokenizer.mask_id, 0, np.where(now == before, 2, 1))
    if unit == "span":
        starts = units_of(masking, ids, single)
        span = np.arange(ROWS)[:, None] * LENGTH + starts
        spans, first = np.unique(span[chosen], return_index=True)
        for one in spans[:500]:
            assert len({*outcome[span[chosen] == one]} - {2}) <= 1  # a random token may be the same
        outcome = outcome[first]
    size = tokenizer.vocabulary_size - SPECIAL
    expected = np.array([0.8, 0.1 * (1 - 1 / size), 0.1 + 0.1 / size])
    counts = np.bincount(outcome, minlength=3)
    assert stats.chisquare(counts, expected * counts.sum()).pvalue > UNLIKELY


@pytest.mark.parametrize("unit", module.MASK_UNITS)
@pytest.mark.parametrize("with_words", [False, True])
def test_numpy_masks_what_the_graph_masks(tokenizer, unit, with_words):
    ids = rows_of_tokens(tokenizer, 32, 48)
    ids[:, 20], ids[::3, 40:] = tokenizer.sep_id, tokenizer.pad_id
    ids[::2, 30] = tokenizer.unknown_id
    masking = Masking.of(tokenizer, 0.25, mask_unit=unit)
    words = random_words(ids.shape) if with_words else None
    continues = None if words is None else tf.constant(words)
    seed = tf.constant(SEED, tf.int64)
    graph = tf.function(lambda ids: masking({"token_ids": ids}, seed, continues))
    expected = masking({"token_ids": ids}, np.array(SEED), words)
    found = graph(tf.constant(ids))
    for theirs, ours in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(theirs.numpy(), ours)
        assert theirs.dtype == ours.dtype


def test_units_of_words_that_the_tokenizer_marks(tokenizer):
    ids = rows_of_tokens(tokenizer, 64, 100)
    go_on = np.flatnonzero(tokenizer.continues_word)
    ids = np.where(random_words(ids.shape), go_on[ids % len(go_on)], ids).astype(np.int32)
    for unit in WORD_UNITS:
        chosen, _ = masked_places(Masking.of(tokenizer, mask_unit=unit), ids)
        begins = ~tokenizer.continues_word[ids]
        begins[:, 1] = True  # after [CLS]
        words = np.cumsum(begins, axis=1)
        for row in range(64):
            inside = np.isin(words[row], words[row][chosen[row]])
            assert (chosen[row] == inside).all()


def test_n_grams_end_at_special_tokens(tokenizer):
    ids = rows_of_tokens(tokenizer, 64, 64)
    ids[:, 32] = tokenizer.sep_id
    masking = Masking.of(tokenizer, mask_unit="span")
    starts = units_of(masking, ids, np.zeros(ids.shape, bool))
    assert (starts[:, 32] == 32).all()
    assert (starts[:, 33] == 33).all()


def test_unknown_units(tokenizer):
    with pytest.raises(InputError, match=r"mask_unit must be one of token, .* found 'word'"):
        Masking.of(tokenizer, mask_unit="word")
    with pytest.raises(InputError, match="mask_unit is 'token', but whole_word is set"):
        Masking.of(tokenizer, whole_word=True, mask_unit="token")
