import warnings

import numpy as np
import pytest
import tensorflow as tf

from kerasbert.data.pretraining.masking import Masking
from kerasbert.errors import InputError
from kerasbert.text import WordPieceTokenizer

SPECIAL = 5
SEED = (3, 4)


def rows_of_words(tokenizer, rows, length):
    """Features with [CLS], ordinary pieces, a [SEP] now and then, and padding of many widths."""
    random = np.random.default_rng(0)
    ids = random.integers(SPECIAL, tokenizer.vocabulary_size, (rows, length))
    ids[:, 0], ids[:, length // 2] = tokenizer.cls_id, tokenizer.sep_id
    for row, real in enumerate(random.integers(length // 2 + 1, length + 1, rows)):
        ids[row, real - 1], ids[row, real:] = tokenizer.sep_id, tokenizer.pad_id
    return {"token_ids": tf.constant(ids, tf.int32), "segment_ids": tf.zeros(ids.shape, tf.int32)}


def run(masking, features, seed=SEED):
    masked, ids, weights = masking(features, tf.constant(seed))
    return {name: value.numpy() for name, value in masked.items()}, ids.numpy(), weights.numpy()


@pytest.mark.parametrize("whole_word", [False, True])
@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_positions_ids_and_weights_fit(tokenizer, rate, whole_word):
    features = rows_of_words(tokenizer, 64, 40)
    before = features["token_ids"].numpy()
    after, ids, weights = run(Masking.of(tokenizer, rate, whole_word), features)
    positions = after["mask_positions"]
    assert ids.shape == weights.shape == positions.shape == (64, round(rate * 40))
    assert (ids.dtype, weights.dtype, positions.dtype) == (np.int32, np.float32, np.int32)
    assert set(np.unique(weights)) <= {0.0, 1.0}
    for row in range(64):
        used = weights[row] == 1
        places = positions[row][used]
        assert (np.diff(places) > 0).all()
        np.testing.assert_array_equal(ids[row][used], before[row][places])
        assert (before[row][places] >= SPECIAL).all()
        rest = np.delete(np.arange(40), places)
        np.testing.assert_array_equal(after["token_ids"][row][rest], before[row][rest])
        assert not positions[row][~used].any()
        assert not ids[row][~used].any()
        ordinary = (before[row] >= SPECIAL).sum()
        if whole_word:
            assert len(places) <= max(1, round(rate * ordinary))
        else:
            assert abs(len(places) - rate * ordinary) <= 0.5 + 1e-4
    np.testing.assert_array_equal(after["segment_ids"], features["segment_ids"])


def test_rates(tokenizer):
    features = rows_of_words(tokenizer, 256, 128)
    before = features["token_ids"].numpy()
    after, ids, weights = run(Masking.of(tokenizer), features)
    ordinary = before >= SPECIAL
    assert weights.sum() / ordinary.sum() == pytest.approx(0.15, abs=0.003)
    used = weights == 1
    now = np.take_along_axis(after["token_ids"], after["mask_positions"], 1)[used]
    count, size = used.sum(), tokenizer.vocabulary_size - SPECIAL
    hidden, same = now == tokenizer.mask_id, now == ids[used]
    assert count > 3000
    assert hidden.mean() == pytest.approx(0.8, abs=0.025)
    assert same.mean() == pytest.approx(0.1 + 0.1 / size, abs=0.02)
    drawn = now[~hidden & ~same]
    assert len(drawn) / count == pytest.approx(0.1, abs=0.02)
    assert (drawn >= SPECIAL).all()
    assert len(np.unique(drawn)) > 0.7 * size
    # Every place of a row is as likely as the next.
    chosen = np.zeros(before.shape)
    np.put_along_axis(chosen, after["mask_positions"], used, 1)
    half = chosen[:, 1:32].sum() / ordinary[:, 1:32].sum()
    assert half == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize("whole_word", [False, True])
def test_seed(tokenizer, whole_word):
    masking = Masking.of(tokenizer, whole_word=whole_word)
    features = rows_of_words(tokenizer, 8, 64)
    first, again, other = (run(masking, features, seed)[0] for seed in (SEED, SEED, (3, 5)))
    graph, _, _ = tf.function(lambda x: masking(x, tf.constant(SEED)))(features)
    for name in ("token_ids", "mask_positions"):
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_array_equal(first[name], graph[name])
        assert (first[name] != other[name]).any()
    assert len({tuple(row) for row in first["mask_positions"]}) == 8  # rows differ, too


def test_whole_words(tokenizer):
    random = np.random.default_rng(1)
    continues = tokenizer.continues_word
    begin = np.flatnonzero(~continues)[SPECIAL:]
    go_on = np.flatnonzero(continues)
    ids = np.where(random.random((128, 100)) < 0.4, random.choice(go_on, (128, 100)), 0)
    ids = np.where(ids == 0, random.choice(begin, (128, 100)), ids)
    ids[:, 0], ids[:, 1], ids[:, -1] = tokenizer.cls_id, begin[0], tokenizer.sep_id
    features = {"token_ids": tf.constant(ids, tf.int32)}
    after, _, weights = run(Masking.of(tokenizer, whole_word=True), features)
    whole = 0
    for row in range(128):
        chosen = np.zeros(100, bool)
        chosen[after["mask_positions"][row][weights[row] == 1]] = True
        starts = np.flatnonzero(~continues[ids[row]])
        words = np.split(chosen, starts[1:])
        assert all(word.all() or not word.any() for word in words)
        whole += sum(word.all() for word in words if len(word) > 1)
    assert whole > 100
    assert weights.sum() / (128 * 98) == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize("whole_word", [False, True])
def test_few_tokens(tokenizer, whole_word):
    cat = tokenizer.token_to_id("cat")
    rows = [[2, cat, 3, 3, 0, 0, 0, 0], [2, 3, 3, 0, 0, 0, 0, 0], [0] * 8]
    features = {"token_ids": tf.constant(rows, tf.int32)}
    after, ids, weights = run(Masking.of(tokenizer, whole_word=whole_word), features)
    np.testing.assert_array_equal(weights.sum(axis=1), [1, 0, 0])
    assert after["mask_positions"][0].tolist() == [1, 0]
    assert ids[0].tolist() == [cat, 0]
    np.testing.assert_array_equal(after["token_ids"][1:], rows[1:])


def test_unknown_words_are_never_chosen(tokenizer):
    ids = tf.fill([16, 20], tokenizer.unknown_id)
    _, _, weights = run(Masking.of(tokenizer), {"token_ids": ids})
    assert not weights.any()


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5])
def test_bad_rate(tokenizer, rate):
    with pytest.raises(InputError, match=f"mask_rate must be .* found {rate}"):
        Masking.of(tokenizer, rate)


def test_whole_word_skips_words_over_the_budget(tokenizer):
    cat, piece = tokenizer.token_to_id("cat"), tokenizer.token_to_id("##a")
    row = [tokenizer.cls_id, cat, *[piece] * 20, cat, tokenizer.sep_id]
    features = {"token_ids": tf.constant([row] * 8)}
    masked, _, weights = Masking.of(tokenizer, whole_word=True)(features, tf.constant([1, 2]))
    assert weights.numpy().sum(axis=1).tolist() == [1.0] * 8
    assert masked["mask_positions"].numpy()[:, 0].tolist() == [22] * 8


def test_whole_words_that_are_not_known():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    mixed = WordPieceTokenizer([*special, *"中国", *(f"word{i}" for i in range(20))])
    with pytest.warns(
        UserWarning, match=r"without spaces \(such as Chinese\), 44% of the vocabulary"
    ):
        Masking.of(WordPieceTokenizer([*special, *"中国人の"]), whole_word=True)
    counts = np.zeros(mixed.vocabulary_size, int)
    counts[mixed.token_to_id("中")], counts[mixed.token_to_id("word1")] = 1, 3
    with pytest.warns(UserWarning, match="25% of the text's tokens"):
        Masking.of(mixed, whole_word=True, counts=counts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Masking.of(mixed, whole_word=True)
        Masking.of(mixed, counts=counts)
