import os
import unicodedata

import numpy as np
import programs
import pytest
import tensorflow as tf

from kerasbert.text.normalization import (
    _PLAIN,
    clean,
    normalize,
    replace_long_words,
    split_words,
)


def run(text, lowercase, strip_accents):
    settings = {"lowercase": lowercase, "strip_accents": strip_accents, "unknown_word": "?"}
    return normalize(tf.constant([text]), **settings)[0].numpy()[0].decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ünïcode", "unicode"),
        ("ΟΔΟΣ", "οδοσ"),
        ("Straße", "straße"),
        ("ﬁ ½", "ﬁ ½"),  # NFD, not NFKD
        ("İ", "i"),
        ("a\u200bb\x00c\ufffdd", "abcd"),
        ("a\u00a0b\tc\u3000d", "a b c d"),
        ("", ""),
    ],
)
def test_uncased(text, expected):
    assert run(text, True, True) == expected


@pytest.mark.parametrize("text", ["Ünïcode", "ΟΔΟΣ", "e\u0301", "中文 ABC"])
def test_cased_text_is_left_alone(text):
    assert run(text, False, False) == text


def test_accents_and_case_are_independent():
    assert run("É", True, False) == "é"
    assert run("É", False, True) == "E"


_PROGRAM = """
import tensorflow as tf
from kerasbert.text import SentencePieceTokenizer
from kerasbert.text.normalization import clean
from kerasbert.text.sentencepiece_model import sentencepiece_model

text = tf.constant([TEXT])
pieces = ["<unk>", "<pad>", "[CLS]", "[SEP]", "[MASK]", "a"]
model = sentencepiece_model(pieces, [-1.0] * 6, unknown_id=0, control=pieces[1:5])
for accents in (True, False):
    print(clean(text, lowercase=True, strip_accents=not accents).numpy()[0])
    tokenizer = SentencePieceTokenizer(model, lowercase=True, strip_accents=not accents)
    print(tokenizer._prepare(text)[0].numpy()[0])
"""


@pytest.mark.parametrize("locale", ["tr_TR.UTF-8", "lt_LT.UTF-8"])
def test_the_language_of_the_process(locale, tmp_path):
    text = "TITLE İ I\u0307 É Ì Í Ĩ Į\u0301 J\u0301 I\u0300\u0328 ΟΔΟΣ"
    (tmp_path / "program.py").write_text(f"TEXT = {text!a}\n{_PROGRAM}")
    ended = programs.run([tmp_path / "program.py"], env={**os.environ, "LC_ALL": locale})
    assert ended.returncode == 0, ended.stderr
    kept = text.replace("Σ", "σ").lower()
    stripped = "".join(c for c in unicodedata.normalize("NFD", kept) if not 0x300 <= ord(c) < 0x370)
    lines = [repr(text.encode()) for text in (kept, stripped) for _ in range(2)]
    assert ended.stdout.splitlines() == lines


@pytest.mark.parametrize(("first", "last"), [(0x80, 0x250), (0x370, 0x400), (0x400, 0x530)])
def test_against_unicodedata(first, last):
    for character in map(chr, range(first, last)):
        if unicodedata.category(character)[0] not in "CZ":
            decomposed = unicodedata.normalize("NFD", character)
            bare = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
            assert run(character, False, True) == bare
            expected = "".join("σ" if c == "Σ" else c.lower() for c in bare)
            assert run(character, True, True) == expected


@pytest.mark.parametrize("shape", [[], [0], [2, 2]])
def test_shapes(shape):
    text = tf.fill(shape, "ÀB")
    found, _ = normalize(text, lowercase=True, strip_accents=True, unknown_word="?")
    assert found.shape == shape


@pytest.mark.parametrize("lowercase", [False, True])
def test_no_plain_character_needs_cleaning(lowercase):
    every = tf.constant([chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000])
    plain = tf.boolean_mask(every, tf.strings.regex_full_match(every, _PLAIN))
    assert len(plain) > 21_000
    as_it_is = tf.strings.lower(plain) if lowercase else plain
    cleaned = clean(plain, lowercase=lowercase, strip_accents=lowercase)
    np.testing.assert_array_equal(cleaned.numpy(), as_it_is.numpy())


def test_plain_rows_stay_between_others():
    long = "b" * 101
    texts = ["À B", "A-B ~!", "", "a\tB", f"A{long[1:]} C", f"{long} À", f"C {long}", "ÅB", "Z9"]
    expected = ["a b", "a-b ~!", "", "a b", "? c", "? a", "c ?", "ab", "z9"]
    found, _ = normalize(tf.constant(texts), lowercase=True, strip_accents=True, unknown_word="?")
    assert [one.decode().strip() for one in found.numpy()] == expected


@pytest.mark.parametrize("letter", ["a", "ß", "あ", "😀"])
def test_words_over_a_hundred_characters_are_replaced(letter):
    texts = [
        f"x {letter * 100} y",
        f"x {letter * 101} y",
        f"{letter * 101}.{letter * 100}",
        f"{letter * 60}-{letter * 60}",
        f"{letter * 60}中{letter * 60}",
    ]
    found = replace_long_words(tf.constant(texts), "?")
    words = [one.decode().split() for one in found.numpy()]
    assert words[:3] == [["x", letter * 100, "y"], ["x", "?", "y"], ["?", ".", letter * 100]]
    for word, text in zip(words[3:], texts[3:], strict=True):
        assert "".join(word) == text


def test_punctuation_runs_are_no_long_words():
    found = replace_long_words(tf.constant(["!" * 500, "中" * 500]), "?")
    assert ["".join(one.decode().split()) for one in found.numpy()] == ["!" * 500, "中" * 500]


def test_split_words():
    texts = ["Don't stop,  中文!", "", " \t", "a≠b"]
    words, starts, ends = split_words(tf.constant(texts), strip_accents=True)
    expected = [["Don", "'", "t", "stop", ",", "中", "文", "!"], [], [], ["a", "≠", "b"]]
    assert [[word.decode() for word in row] for row in words.to_list()] == expected
    for text, row, first, last in zip(texts, expected, starts, ends, strict=True):
        data = text.encode()
        found = [data[i:j].decode() for i, j in zip(first.numpy(), last.numpy(), strict=True)]
        assert found == row


def test_not_equal_is_split_only_when_it_will_be_decomposed():
    words, _, _ = split_words(tf.constant(["a≠b"]), strip_accents=False)
    assert [word.decode() for word in words.to_list()[0]] == ["a≠b"]
