"""Where BERT's normalization in Hugging Face `tokenizers` differs from ours.

It has other Unicode tables. An encoder without TensorFlow replaces the characters that it treats
differently, in the text, by what they become here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from kerasbert.lazy import tensorflow as tf
from kerasbert.lazy import tensorflow_text as tf_text
from kerasbert.text.normalization import CJK, PUNCTUATION, clean

# Between the characters of a text that is normalized at once; no character becomes a part of it.
_APART = " qzq "
_AT_ONCE = 0x4000
# Planes 4 to 13 of Unicode have no characters.
_CODES = (range(0x40000), range(0xE0000, 0x110000))


@functools.cache
def other_characters(lowercase: bool, strip_accents: bool) -> tuple[dict[str, str], str]:
    """Compares BERT's normalization and splitting here and in the installed `tokenizers`.

    Args:
        lowercase: as in `WordPieceTokenizer`.
        strip_accents: as in `WordPieceTokenizer`.

    Returns:
        A dict from the characters that `tokenizers` treats differently to texts that it treats as
        we treat these characters; and a string of characters without such a text.
    """
    replaced: dict[str, str] = {}
    refused: list[str] = []
    theirs = normalizer(lowercase, strip_accents)
    for block in all_characters():
        ours = _ours(block, lowercase, strip_accents)
        found: dict[str, str] = {}
        for character, wanted, given in zip(block, ours, _theirs(block, theirs), strict=True):
            if wanted != given:
                found[character] = wanted
        given = _theirs([*found.values()], theirs)
        for (character, wanted), one in zip(found.items(), given, strict=True):
            if wanted == one:
                replaced[character] = wanted
            else:
                refused.append(character)
    return replaced, "".join(refused)


def all_characters() -> Iterator[list[str]]:
    """Yields lists of characters: all that Unicode has, without surrogates."""
    for codes in _CODES:
        for begin in range(0, len(codes), _AT_ONCE):
            block = codes[begin : begin + _AT_ONCE]
            yield [chr(code) for code in block if not 0xD800 <= code < 0xE000]


def normalizer(lowercase: bool, strip_accents: bool) -> Any:
    """Returns BERT's normalizer of `tokenizers`."""
    from tokenizers import normalizers

    return normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=True,
        strip_accents=strip_accents,
        lowercase=lowercase,
    )


def _ours(texts: Sequence[str], lowercase: bool, strip_accents: bool) -> list[str]:
    """Returns what texts become between two letters, with a space at each word boundary."""
    between = tf.constant([f"a{text}a" for text in texts])
    cleaned = clean(between, lowercase=lowercase, strip_accents=strip_accents)
    split = tf.strings.regex_replace(cleaned, f"[{PUNCTUATION}{CJK}]", r" \0 ")
    words = [_inside(text.decode()) for text in split.numpy()]
    # The WordPiece op, which splits, knows newer punctuation than the pattern.
    op = tf_text.FastWordpieceTokenizer(["[UNK]", "a"], token_out_type=tf.int32)
    counts = op.tokenize(cleaned).row_lengths().numpy()
    return [
        f" {word} " if count > 1 and " " not in word else word
        for word, count in zip(words, counts, strict=True)
    ]


def _theirs(texts: Sequence[str], normalizer) -> list[str]:
    """Does the same with a normalizer of `tokenizers` and its splitting."""
    from tokenizers import pre_tokenizers

    if not texts:
        return []
    together = _APART.join(f"a{text}a" for text in texts)
    normalized = normalizer.normalize_str(together)
    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normalized)
    return [_inside(part) for part in " ".join(word for word, _ in words).split(_APART)]


def _inside(text: str) -> str:
    """Returns a text without the letters at its ends, with single spaces."""
    return " ".join(filter(None, text.split(" "))).removeprefix("a").removesuffix("a")
