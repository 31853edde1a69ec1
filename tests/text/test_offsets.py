import itertools

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer

from kerasbert.text import WordPieceTokenizer, bytes_to_characters

TEXTS = [
    "The cats, unhappiest dog!",
    "Café déjà-vu ÀÉÎ",
    "中国人 reads 中文",
    "ﬁne ½ ß İstanbul 😀👍 Привет",
    "a≠b (x) \u3000 wide",
    "a" * 101 + " b " + "ß" * 101,
    "e\u0301a e\u0301",
    "",
    "   ",
    "tab\tnew\nline",
]
DROPPED = ["a\u200bb c\x00d", "\ufeffthe cat\u200b", "\u200b \x00", "x\ufffdy \u0301 z"]


@pytest.mark.parametrize("lowercase", [False, True])
def test_ids_equal_tokenize(vocabulary, lowercase):
    ours = WordPieceTokenizer(vocabulary, lowercase)
    ids, starts, ends = ours.tokenize_with_offsets(TEXTS + DROPPED)
    assert ids.to_list() == ours.tokenize(TEXTS + DROPPED).to_list()
    assert ids.dtype == tf.int32
    assert starts.dtype == ends.dtype == tf.int64
    assert starts.row_lengths().numpy().tolist() == ids.row_lengths().numpy().tolist()


@pytest.mark.parametrize("lowercase", [False, True])
def test_words_equal_the_reference(vocabulary, lowercase):
    ours = WordPieceTokenizer(vocabulary, lowercase)
    reference = BertWordPieceTokenizer(
        {piece: id for id, piece in enumerate(vocabulary)}, lowercase=lowercase
    )
    # The reference cuts ≠ in two, and a combining mark off the end of a word.
    texts = [text for text in TEXTS if not {"≠", "\u0301"} & set(text)]
    _, starts, ends = ours.tokenize_with_offsets(texts)
    starts = bytes_to_characters(tf.constant(texts), starts).to_list()
    ends = bytes_to_characters(tf.constant(texts), ends).to_list()
    for text, start, end in zip(texts, starts, ends, strict=True):
        encoding = reference.encode(text, add_special_tokens=False)
        spans = [encoding.word_to_chars(word) for word in encoding.word_ids]
        assert list(zip(start, end, strict=True)) == spans, text


@pytest.mark.parametrize("lowercase", [False, True])
def test_slicing_the_bytes_gives_the_word(vocabulary, lowercase):
    ours = WordPieceTokenizer(vocabulary, lowercase)
    for text in TEXTS + DROPPED:
        rows = (x.to_list()[0] for x in ours.tokenize_with_offsets([text]))
        for (start, end), pieces in itertools.groupby(
            zip(*rows, strict=True), lambda token: token[1:]
        ):
            word = text.encode()[start:end]
            assert word == word.strip()
            assert ours.tokenize([word]).to_list()[0] == [piece[0] for piece in pieces]


def test_known_words(tokenizer):
    text = "Thé  cats,中"
    ids, starts, ends = (x.to_list()[0] for x in tokenizer.tokenize_with_offsets([text]))
    words = [text.encode()[start:end].decode() for start, end in zip(starts, ends, strict=True)]
    assert [tokenizer.id_to_token(id) for id in ids] == ["the", "cat", "##s", ",", "中"]
    assert words == ["Thé", "cats", "cats", ",", "中"]


def test_inside_a_graph(tokenizer):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def run(text):
        ids, starts, ends = tokenizer.tokenize_with_offsets(text)
        return ids, bytes_to_characters(text, starts), bytes_to_characters(text, ends)

    for texts in (TEXTS, TEXTS[:1], [""], []):
        text = tf.constant(texts, tf.string, [len(texts)])
        ids, starts, ends = run(text)
        assert ids.to_list() == tokenizer.tokenize(text).to_list()
        eager = tokenizer.tokenize_with_offsets(text)
        assert starts.to_list() == bytes_to_characters(text, eager[1]).to_list()
        assert ends.to_list() == bytes_to_characters(text, eager[2]).to_list()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1))
def test_bytes_to_characters(texts):
    offsets = [[len(text[:i].encode()) for i in range(len(text) + 1)] for text in texts]
    found = bytes_to_characters(tf.constant(texts), tf.ragged.constant(offsets, tf.int64))
    assert found.to_list() == [list(range(len(text) + 1)) for text in texts]


def test_bytes_to_characters_keeps_the_shape():
    text = tf.constant(["ÀÉÎ", "", "中文"])
    offsets = tf.RaggedTensor.from_row_splits(tf.constant([6, 2, 0, 3]), [0, 2, 2, 4])
    assert bytes_to_characters(text, offsets).to_list() == [[3, 1], [], [0, 1]]
