import itertools
import types

import numpy as np
import pytest
import tensorflow as tf

from kerasbert.text import TextPacker, pack, truncate_pair
from kerasbert.text.packing import few_lengths, pack_ranges

SPECIAL = {"cls_id": 101, "sep_id": 102, "pad_id": 9}


def truncate_seq_pair(tokens_a, tokens_b, max_length):
    """As in google-research/bert."""
    tokens_a, tokens_b = list(tokens_a), list(tokens_b)
    while len(tokens_a) + len(tokens_b) > max_length:
        if len(tokens_a) > len(tokens_b):
            tokens_a.pop()
        else:
            tokens_b.pop()
    return tokens_a, tokens_b


def reference(a, b, length, width):
    if b is None:
        tokens, second = [101, *a[: length - 2], 102], 0
    else:
        a, b = truncate_seq_pair(a, b, length - 3)
        tokens, second = [101, *a, 102, *b, 102], len(b) + 1
    padding, first = [0] * (width - len(tokens)), len(tokens) - second
    return {
        "token_ids": tokens + [9] * len(padding),
        "padding_mask": [1] * len(tokens) + padding,
        "segment_ids": [0] * first + [1] * second + padding,
    }


def ragged(rows):
    return tf.ragged.constant(rows, tf.int32, ragged_rank=1)


def rows_of(lengths, first):
    return [list(range(first, first + length)) for length in lengths]


PAIRS = list(itertools.product(range(8), range(8)))
A, B = rows_of([a for a, _ in PAIRS], 1000), rows_of([b for _, b in PAIRS], 2000)


@pytest.mark.parametrize("budget", range(1, 16))
def test_truncate_pair(budget):
    a, b = truncate_pair(ragged(A).row_lengths(), ragged(B).row_lengths(), budget)
    found = [(x[:i], y[:j]) for x, y, i, j in zip(A, B, a.numpy(), b.numpy(), strict=True)]
    assert found == [truncate_seq_pair(*pair, budget) for pair in zip(A, B, strict=True)]


@pytest.mark.parametrize("pad_to_longest", [False, True])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("length", [4, 5, 8, 17, 20])
def test_pack(length, paired, pad_to_longest):
    b = ragged(B) if paired else None
    found = pack(ragged(A), b, **SPECIAL, sequence_length=length, pad_to_longest=pad_to_longest)
    longest = min(length, 17 if paired else 9)
    width = longest if pad_to_longest else length
    seconds = B if paired else [None] * len(A)
    expected = [reference(*pair, length, width) for pair in zip(A, seconds, strict=True)]
    assert sorted(found) == ["padding_mask", "segment_ids", "token_ids"]
    for name, value in found.items():
        assert value.dtype == tf.int32
        np.testing.assert_array_equal(value, [row[name] for row in expected], name)


@pytest.mark.parametrize(("paired", "length"), [(False, 2), (True, 3), (True, 0)])
def test_too_short(paired, length):
    with pytest.raises(ValueError, match=f"sequence_length .* found {length}"):
        pack(ragged([[1]]), ragged([[1]]) if paired else None, **SPECIAL, sequence_length=length)


def test_pad_id_may_be_a_token_of_the_text():
    found = pack(ragged([[9, 9]]), None, **SPECIAL, sequence_length=6)
    np.testing.assert_array_equal(found["padding_mask"], [[1, 1, 1, 1, 0, 0]])


def test_width_is_static(tokenizer):
    packer = TextPacker(tokenizer, 12)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
    def run(a, b):
        features = packer(a, b, pad_to_longest=False)
        assert all(value.shape.as_list()[1] == 12 for value in features.values())
        return features

    assert run(tf.constant(["the cat"]), tf.constant(["a dog"]))["token_ids"].shape == (1, 12)


def test_text_packer(tokenizer):
    packer = TextPacker(tokenizer, 16)
    the, cat, s, dog = map(tokenizer.token_to_id, ("the", "cat", "##s", "dog"))
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    single = packer(tf.constant(["The cats", "dog"]))
    expected = [[cls, the, cat, s, sep], [cls, dog, sep, 0, 0]]
    np.testing.assert_array_equal(single["token_ids"], expected)
    pair = packer(tf.constant(["the"]), tf.constant(["cats dog"]), pad_to_longest=False)
    expected = [[cls, the, sep, cat, s, dog, sep] + [0] * 9]
    np.testing.assert_array_equal(pair["token_ids"], expected)
    np.testing.assert_array_equal(pair["segment_ids"], [[0] * 3 + [1] * 4 + [0] * 9])


def test_text_packer_with_another_tokenization(tokenizer):
    packer = TextPacker(tokenizer, 16)
    found = packer(tf.constant(["the [MASK]"]), tokenize=tokenizer.tokenize_with_mask)
    assert found["token_ids"].numpy().tolist()[0][2] == tokenizer.mask_id


def test_empty_batch(tokenizer):
    features = TextPacker(tokenizer, 16)(tf.zeros([0], tf.string), pad_to_longest=False)
    assert features["token_ids"].shape == (0, 16)


@pytest.mark.parametrize("packing", ["bert", "roberta"])
def test_stretches_are_packed_as_ragged_ids_are(packing):
    tokens = np.arange(100, 200, dtype="int32")
    first, second = (
        (np.array([3, 50, 0]), np.array([5, 56, 1])),
        (
            np.array([7, 90, 40]),
            np.array([7, 91, 46]),
        ),
    )
    tokenizer = types.SimpleNamespace(cls_id=2, sep_id=1, pad_id=0, packing=packing)
    ragged = [
        tf.ragged.stack([tokens[a:b] for a, b in zip(*part, strict=True)])
        for part in (first, second)
    ]
    ids = {"cls_id": 2, "sep_id": 1, "pad_id": 0, "packing": packing, "sequence_length": 16}
    expected = pack(*ragged, **ids)
    found = pack_ranges(lambda at: tokens[at], (first, second), tokenizer, 16)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].dtype == "int32"


@pytest.mark.parametrize(
    ("longest", "lengths"), [(128, (32, 64, 128)), (100, (32, 64, 100)), (32, (32,)), (16, (16,))]
)
def test_few_lengths(longest, lengths):
    assert few_lengths(longest) == lengths


@pytest.mark.parametrize(("words", "length"), [(1, 32), (30, 32), (31, 64), (63, 70), (90, 70)])
def test_the_longest_row_is_padded_to_one_of_few_lengths(words, length):
    rows = ragged([list(range(words)), [1]])
    packed = pack(
        rows, None, **SPECIAL, sequence_length=70, pad_to_longest=True, row_lengths=few_lengths(70)
    )
    exact = pack(rows, None, **SPECIAL, sequence_length=70, pad_to_longest=True)
    width = exact["token_ids"].shape[1]
    for name, value in packed.items():
        assert value.shape == (2, length)
        np.testing.assert_array_equal(value[:, :width], exact[name])
    assert tf.reduce_all(packed["token_ids"][:, width:] == SPECIAL["pad_id"])
    assert not tf.reduce_any(packed["padding_mask"][:, width:] > 0)
