import hashlib
import itertools
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer

from kerasbert.errors import InputError
from kerasbert.text import TOKENIZERS, WordPieceTokenizer

RANGES = [
    (0x0000, 0x024F),
    (0x0370, 0x03FF),
    (0x0400, 0x04FF),
    (0x2000, 0x206F),
    (0x4E00, 0x9FD5),  # the end of the block in Unicode 8
    (0xAC00, 0xD7A3),
]
HARD = [
    "",
    " ",
    "\t\n\r",
    "The cat, the dog",
    "Café déjà vu ÀÉÎÕÜ",
    "e\u0301 a\u0308\u0301 \u0301start o\u0328",
    "\u0301",
    "中国人 reads中文books 鴿㐀𠀀",
    "カタカナ ひらがな ガ か\u3099 한국어 각",
    "tab\tnew\nline\rreturn\u00a0nbsp\u3000wide\u2028line\u2029para\u1680ogham",
    "vertical\x0btab form\x0cfeed \x1f \x7f \x85",
    "zero\u200bwidth\u200djoin\u200c \ufeffmark soft\u00adhyphen \u2060 \u202eright",
    "nul\x00inside \x00",
    "replace\ufffdment private\ue000use",
    "!" * 300,
    "a.b.c... --- (((x))) $5.00^2 ~`|{}<>=+ «quoted» “curly” „low“ ¿qué? 、。！",
    "ΣΑΣ ΟΔΟΣ ος Σ",
    "a≠b ≮ ≯ \u1fef x\u0338",
    "İstanbul ısı I i\u0307",
    "ﬁne ﬂow ½ ² ① Ⅷ ß ẞ Straße ŉ ǰ",
    "😀 👩\u200d👩\u200d👧 🇨🇭 ❤\ufe0f",
    "ÅÅ Ω K",
    "नमस्ते ไทย ไม้ עִבְרִית عَرَبِيّ Привет Й ё",
    "un##able ##s # ## ####",
    "unaffable seeing cats unhappiest catcatcat zzz",
    "\u180e\u00b7 · _under_score_ ©®™ €£",
]
LONG = [
    prefix + letter * count + suffix
    for letter in ("a", "ß", "あ", "\U00010400")
    for count in (99, 100, 101, 102)
    for prefix, suffix in (("", ""), ("the ", "."), ("中", "国"))
]
LONG += ["é" * 100, "é" * 101, "e\u0301" * 100, "e\u0301" * 101, "한" * 34, "한" * 33]
LONG += ["a" * 99 + "\u200bb", "a" * 100 + "\u200bb", "İ" * 100, "İ" * 51, "Σ" * 100]
LONG += [("x" * 50 + "-") * 5, "a" * 100_000, "!" * 20_000, ("a" * 101 + " ") * 50 + "b"]


def all_forms(text):
    for normal in (text, unicodedata.normalize("NFD", text)):
        yield from (normal, normal.lower(), normal.upper())


@pytest.fixture(scope="module")
def characters(vocabulary):
    """A vocabulary in which nearly every character is known, so that none hides in [UNK]."""
    texts = [*HARD, *LONG, *("".join(map(chr, range(a, b + 1))) for a, b in RANGES)]
    found = sorted(set(itertools.chain.from_iterable(f for t in texts for f in all_forms(t))))
    found = [c for c in found if unicodedata.category(c)[0] not in "CZ" and c not in "#"]
    return list(dict.fromkeys([*vocabulary, *found, *("##" + c for c in found), "#", "###"]))


class Pair:
    """Our tokenizer and the reference, of one vocabulary."""

    def __init__(self, vocabulary, lowercase):
        self.ours = WordPieceTokenizer(vocabulary, lowercase)
        ids = {piece: id for id, piece in enumerate(self.ours.vocabulary)}
        self.reference = BertWordPieceTokenizer(ids, lowercase=lowercase, strip_accents=lowercase)

    def expected(self, texts):
        encoded = self.reference.encode_batch(list(texts), add_special_tokens=False)
        return [one.ids for one in encoded]

    def check(self, texts):
        found = self.ours.tokenize(tf.constant(texts, tf.string, [len(texts)])).to_list()
        pairs = zip(texts, found, self.expected(texts), strict=True)
        assert [pair for pair in pairs if pair[1] != pair[2]] == []


@pytest.fixture(scope="module")
def pairs(characters):
    return {lowercase: Pair(characters, lowercase) for lowercase in (False, True)}


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("text", HARD, ids=ascii)
def test_hard_strings(pairs, lowercase, text):
    pairs[lowercase].check([text])


@pytest.mark.parametrize("lowercase", [False, True])
def test_long_words(pairs, lowercase):
    pairs[lowercase].check(LONG)
    for text in LONG:
        pairs[lowercase].check([text])


@pytest.mark.parametrize("lowercase", [False, True])
def test_hard_strings_in_one_batch(pairs, lowercase):
    pairs[lowercase].check(HARD + LONG)
    pairs[lowercase].check([" ".join(HARD)])


@pytest.mark.parametrize("letter", ["a", "ß", "あ"])
def test_limit_of_a_hundred_characters(pairs, letter):
    ours = pairs[True].ours
    found = ours.tokenize([letter * 100, letter * 101]).to_list()
    assert len(found[0]) > 1
    assert ours.unknown_id not in found[0]
    assert found[1] == [ours.unknown_id]


@pytest.mark.parametrize("lowercase", [False, True])
def test_each_character_of_the_ranges(pairs, lowercase):
    texts = [
        f"a{c} {c}b{c}"
        for first, last in RANGES[:4]
        for c in map(chr, range(first, last + 1))
        if unicodedata.category(c) != "Cn"
    ]
    pairs[lowercase].check(texts)


ALPHABET = st.one_of(
    *(st.characters(min_codepoint=a, max_codepoint=b, exclude_categories=["Cn"]) for a, b in RANGES)
)


def no_special_token(text):  # the reference takes them out before it splits
    return not any(token in text for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))


@pytest.mark.parametrize("lowercase", [False, True])
def test_random_text(pairs, lowercase):
    @given(
        st.lists(st.text(ALPHABET, max_size=60).filter(no_special_token), min_size=1, max_size=5)
    )
    def check(texts):
        pairs[lowercase].check(texts)

    check()


@pytest.mark.parametrize(
    ("vocabulary", "corpus", "lowercase"),
    [
        ("bert-base-uncased", "enwiki-2015", True),
        ("bert-base-cased", "enwiki-2015", False),
        ("bert-base-chinese", "zhwiki", True),
        ("bert-base-multilingual-cased", "zhwiki", False),
    ],
)
def test_real_text(shared, vocabulary, corpus, lowercase):
    pair = Pair(shared("vocab", vocabulary, "vocab.txt"), lowercase)
    files = sorted(shared("corpora", corpus).glob("wiki_*"))
    lines = [
        line
        for file in files[:: len(files) // 4]
        for line in file.read_text(encoding="utf-8").split("\n")
        if line.strip() and not line.startswith(("<doc", "</doc"))
    ]
    lines = lines[:: len(lines) // 2000][:2000]
    assert len(lines) == 2000
    pair.check(lines)


INVALID = [
    b"\xed\xa0\x80 a surrogate",
    b"\xf4\x90\x80\x80 beyond the last character",
    b"\xff",
    b"caf\xe9 the cat",
    b"the\xffcat",
    b"\xc3",
    b"cat \xe4\xb8",
    b"\xe4\xb8the",
    b"\xf8\x88\x80\x80\x80 too long",
    b"\xc0\x80 \xc1\xbf overlong",
    b"\x80\x81 dog \xfe\xff",
    b"\xf0\x9f\x98",
]


@pytest.mark.parametrize("lowercase", [False, True])
def test_invalid_utf8(pairs, lowercase):
    ours = pairs[lowercase].ours
    decoded = [data.decode("utf-8", "replace") for data in INVALID]
    expected = ours.tokenize(decoded).to_list()
    assert ours.tokenize(INVALID).to_list() == expected
    assert [ours.tokenize([data]).to_list()[0] for data in INVALID] == expected
    assert [ours.tokenize([data]).to_list()[0] for data in INVALID] == expected
    pairs[lowercase].check(decoded)


def test_random_bytes(tokenizer):
    @given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
    def check(data):
        decoded = [one.decode("utf-8", "replace") for one in data]
        expected = tokenizer.tokenize(decoded).to_list()
        assert tokenizer.tokenize(data).to_list() == expected
        ids, starts, ends = tokenizer.tokenize_with_offsets(data)
        assert starts.row_lengths().numpy().tolist() == [len(row) for row in ids.to_list()]
        assert tf.reduce_all(ends.flat_values > starts.flat_values)

    check()


@pytest.mark.parametrize("strip_accents", [False, True])
@pytest.mark.parametrize("lowercase", [False, True])
def test_strip_accents(characters, lowercase, strip_accents):
    ours = WordPieceTokenizer(characters, lowercase, strip_accents)
    reference = BertWordPieceTokenizer(
        {piece: id for id, piece in enumerate(characters)},
        lowercase=lowercase,
        strip_accents=strip_accents,
    )
    for text in HARD:
        assert ours.tokenize([text]).to_list() == [
            reference.encode(text, add_special_tokens=False).ids
        ], text


def test_result_type(tokenizer):
    ids = tokenizer(["the cats", ""])
    assert isinstance(ids, tf.RaggedTensor)
    assert ids.dtype == tf.int32
    the, cat, s = map(tokenizer.token_to_id, ("the", "cat", "##s"))
    assert ids.to_list() == [[the, cat, s], []]
    assert tokenizer(tf.zeros([0], tf.string)).to_list() == []


@pytest.mark.parametrize("text", ["the cat", [["the"], ["cat"]]])
def test_other_shapes_are_refused(tokenizer, text):
    with pytest.raises(ValueError, match=r"\(batch,\)"):
        tokenizer.tokenize(text)


def test_special_tokens_in_a_text_are_ordinary_characters(tokenizer):
    ids = set(tokenizer.tokenize(["[MASK] [CLS] [SEP] [PAD]"]).to_list()[0])
    special = set(tokenizer.special_token_ids) - {tokenizer.unknown_id}
    assert ids.isdisjoint(special)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("the [MASK] sees", ["the", None, "sees"]),
        ("[MASK]", [None]),
        ("[MASK][MASK] cat", [None, None, "cat"]),
        ("cat[MASK]", ["cat", None]),
        ("[mask]", ["[mask]"]),
        ("", []),
    ],
)
def test_tokenize_with_mask(tokenizer, text, parts):
    expected = []
    for part in parts:
        expected += [tokenizer.mask_id] if part is None else tokenizer([part]).to_list()[0]
    assert tokenizer.tokenize_with_mask([text, "dog"]).to_list() == [
        expected,
        [tokenizer.token_to_id("dog")],
    ]


def test_detokenize(tokenizer):
    ids = tokenizer(["The CATS, unhappiest dog!", "", "good"])
    expected = [b"the cats , unhappiest dog !", b"", b"good"]
    assert tokenizer.detokenize(ids).numpy().tolist() == expected
    dense = tf.constant([tokenizer(["good dogs"]).to_list()[0]])
    assert tokenizer.detokenize(dense).numpy().tolist() == [b"good dogs"]
    assert tf.function(tokenizer.detokenize)(dense).numpy().tolist() == [b"good dogs"]


@pytest.mark.parametrize("kind", ["wordpiece", "bytepair", "sentencepiece"])
def test_ids_that_no_token_has(make_tokenizer, kind):
    tokenizer = make_tokenizer({"kind": kind})
    last = tokenizer.vocabulary_size - 1
    for id in (-1, last + 1, 999_999):
        message = rf"no token has the id {id}; the ids are 0 to {last}$"
        with pytest.raises(InputError, match=message):
            tokenizer.id_to_token(id)
        for ids in ([[0, id]], np.array([[id]]), tf.ragged.constant([[0], [0, id]])):
            with pytest.raises(InputError, match=message):
                tokenizer.detokenize(ids)
    empty = tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int32), tf.constant([0, 0], tf.int64))
    assert tokenizer.detokenize(empty).numpy().tolist() == [b"", b""]


def test_lookups(tokenizer, vocabulary):
    assert tokenizer.vocabulary_size == len(vocabulary)
    assert [tokenizer.id_to_token(i) for i in range(len(vocabulary))] == vocabulary
    assert [tokenizer.token_to_id(p) for p in vocabulary] == list(range(len(vocabulary)))
    assert tokenizer.special_token_ids == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="zebra"):
        tokenizer.token_to_id("zebra")
    expected = [piece[:2] == "##" for piece in vocabulary]
    np.testing.assert_array_equal(tokenizer.continues_word, expected)


def test_special_tokens_are_found_anywhere(vocabulary):
    moved = WordPieceTokenizer(vocabulary[::-1])
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    found = [moved.pad_id, moved.unknown_id, moved.cls_id, moved.sep_id, moved.mask_id]
    assert [moved.id_to_token(id) for id in found] == names
    assert moved(["\u0e01"]).to_list() == [[moved.unknown_id]]


def test_config_and_file(tokenizer, vocabulary, texts, tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = tokenizer.get_config()
    assert config["vocabulary_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    again = TOKENIZERS[config["kind"]](path, config["lowercase"], config["strip_accents"])
    assert again.get_config() == config
    assert again(texts).to_list() == tokenizer(texts).to_list()


def test_saved_model(pairs, tmp_path):
    class Module(tf.Module):
        def __init__(self, tokenizer):
            super().__init__()
            self.tokenizer = tokenizer

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, text):
            with_mask = self.tokenizer.tokenize_with_mask(text)
            return (*self.tokenizer.tokenize_with_offsets(text), with_mask)

    texts = [*HARD, *LONG[:10], "the [MASK] sees"]
    ours = pairs[True].ours
    tf.saved_model.save(Module(ours), str(tmp_path / "model"))
    ids, starts, ends, with_mask = tf.saved_model.load(str(tmp_path / "model"))(tf.constant(texts))
    assert ids.to_list()[:-1] == pairs[True].expected(texts[:-1])
    assert with_mask.to_list() == ours.tokenize_with_mask(texts).to_list()
    expected = ours.tokenize_with_offsets(texts)
    assert starts.to_list() == expected[1].to_list()
    assert ends.to_list() == expected[2].to_list()


def test_a_tokenizer_can_be_made_inside_a_graph(vocabulary, tokenizer, texts):
    @tf.function
    def tokenize(text):
        return WordPieceTokenizer(vocabulary).tokenize(text)

    assert tokenize(tf.constant(texts)).to_list() == tokenizer(texts).to_list()


@pytest.mark.parametrize("setting", ["lowercase", "strip_accents"])
def test_settings_that_are_neither_true_nor_false(vocabulary, setting):
    with pytest.raises(InputError, match=f"{setting} must be true or false, found 'false'"):
        WordPieceTokenizer(vocabulary, **{setting: "false"})
