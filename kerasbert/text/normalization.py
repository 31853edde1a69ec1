r"""The text normalization of BERT, before WordPiece, as TensorFlow string ops.

It follows `BasicTokenizer` of google-research/bert (`tokenization.py`), with the order of steps of
`BertNormalizer` in Hugging Face `tokenizers`: clean, strip accents, lower-case. The split at white
space, punctuation and CJK characters is done by the WordPiece op in the same pass. The character
classes are written out because the tables behind `\p{..}` change with every Unicode version, and a
vocabulary does not.

Implementations of BERT's tokenizer differ in two points. Here, a Greek capital sigma always becomes
σ (as in Hugging Face `tokenizers`; Python's `str.lower` writes ς at the end of a word), and
punctuation and combining marks are those of current Unicode (as in Python; the tables of
`tokenizers` are those of Unicode 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kerasbert.lazy import tensorflow as tf
from kerasbert.lazy import tensorflow_text as tf_text

# Dropped: NUL, U+FFFD, and the control (Cc), format (Cf) and private-use (Co) characters, but for
# tab, newline and carriage return.
_REMOVED = (
    r"\x{0}-\x{8}\x{b}\x{c}\x{e}-\x{1f}\x{7f}-\x{9f}\x{ad}\x{600}-\x{605}\x{61c}\x{6dd}\x{70f}"
    r"\x{180e}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2064}\x{2066}-\x{206f}\x{e000}-\x{f8ff}"
    r"\x{feff}\x{fff9}-\x{fffb}\x{fffd}\x{110bd}\x{1bca0}-\x{1bca3}\x{1d173}-\x{1d17a}\x{e0001}"
    r"\x{e0020}-\x{e007f}\x{f0000}-\x{ffffd}\x{100000}-\x{10fffd}"
)
# Turned into a space: tab, newline, carriage return and the other separators (Zs, Zl, Zp).
SPACE = r"\t\n\r\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
# White_Space of Unicode, which has a few more characters. RE2's own \s matches ASCII only.
WHITE_SPACE = r"\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
# Characters that are words by themselves: the CJK blocks of `_is_chinese_char`.
CJK = (
    r"\x{3400}-\x{4dbf}\x{4e00}-\x{9fff}\x{f900}-\x{faff}\x{20000}-\x{2a6df}\x{2a700}-\x{2ceaf}"
    r"\x{2f800}-\x{2fa1f}"
)
# Characters that are words by themselves: `_is_punctuation`, that is ASCII symbols and the P*
# categories.
PUNCTUATION = r"!-/:-@\[-`{-~\p{P}"
# Characters that are not punctuation, but whose canonical decomposition starts with it: GREEK VARIA
# (a grave accent) and NOT EQUAL, NOT LESS-THAN, NOT GREATER-THAN.
DECOMPOSES_TO_PUNCTUATION = r"\x{1fef}\x{2260}\x{226e}\x{226f}"

# A subset of the above that occurs often enough to distinguish ordinary text from a long run
# without a word boundary.
_WIDE_BOUNDARIES = r"\x{3001}\x{3002}\x{3400}-\x{4dbf}\x{4e00}-\x{9fff}\x{ff0c}"
_COMMON_BOUNDARIES = rf" !-/:-@\[-`{{-~{_WIDE_BOUNDARIES}"

#: A byte that never occurs in UTF-8 and that no pattern matches.
CUT = b"\xff"

#: The maximum length of a word in characters; BERT replaces longer words by the unknown token.
MAX_WORD_CHARACTERS = 100

# Ordinary English or Chinese text, in which cleaning changes nothing except A to Z and no word can
# be too long: ASCII, dashes and quotation marks, ideographs and the punctuation between them.
_LETTERS = (
    r"[0-9A-Za-z\x{2010}-\x{2027}\x{3003}-\x{3029}\x{ff01}-\x{ff0b}\x{ff0d}-\x{ff20}]"
    f"{{0,{MAX_WORD_CHARACTERS}}}"
)
_PLAIN = f"(?:{_LETTERS}[{_COMMON_BOUNDARIES}])*{_LETTERS}"
# ASCII characters that are rare in ordinary text.
_RARE = "<>[]{}@#^~|\\_*+=`"


def literal(text: str) -> str:
    """Returns a pattern that matches exactly this text."""
    return "".join(c if c.isascii() and c.isalnum() else f"\\x{{{ord(c):x}}}" for c in text)


class SearchPattern(NamedTuple):
    """A pattern to search for in texts.

    Attributes:
        pattern: string, the regular expression.
        rare: string of characters, at least one of which occurs in every match. Empty if no such
            characters are known.
    """

    pattern: str
    rare: str

    @classmethod
    def of(cls, words: Iterable[str], pattern: Callable[[str], str] = literal) -> SearchPattern:
        """Returns the pattern that matches any of `words`; `pattern` converts one word."""
        words = list(words)
        rare = [next((c for c in _RARE if c in word), "") for word in words]
        return cls("|".join(map(pattern, words)), "".join(rare) if all(rare) else "")


def holds(text: tf.Tensor, pattern: str) -> tf.Tensor:
    """Returns whether each text contains a match of `pattern`: bool, same shape as `text`."""
    return tf.strings.regex_full_match(text, f"(?s).*(?:{pattern}).*")


def normalize(
    text: tf.Tensor,
    *,
    lowercase: bool,
    strip_accents: bool,
    unknown_word: str,
    sought: SearchPattern | None = None,
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Cleans `text` as BERT does, up to but not including the split at punctuation.

    Args:
        text: string tensor of any shape; bytes that are not valid UTF-8 are dropped.
        lowercase: bool, lower-case each character independently (no word-final sigma).
        strip_accents: bool, decompose canonically (NFD) and drop the combining marks.
        unknown_word: string that replaces words of more than `MAX_WORD_CHARACTERS` characters.
        sought: `SearchPattern` to search for before long words are replaced, or None.

    Returns:
        A string tensor of the same shape, in which the only white space is the space; and bool of
        the same shape, whether each string contains a match of `sought`, or None.
    """
    rows = tf.reshape(text, [-1])
    # Checking whether a text needs cleaning is faster than cleaning it.
    kinds = _kinds(rows, sought.rare if sought else "")
    positions = tf.dynamic_partition(tf.range(tf.size(rows)), kinds, 3)
    others, plain, plainest = tf.dynamic_partition(rows, kinds, 3)
    others = clean(others, lowercase=lowercase, strip_accents=strip_accents)
    if lowercase:
        plain, plainest = tf.strings.lower(plain), tf.strings.lower(plainest)

    def stitched(*parts):
        return tf.reshape(tf.dynamic_stitch(positions, parts), tf.shape(text))

    normalized = stitched(replace_long_words(others, unknown_word), plain, plainest)
    if sought is None:
        return normalized, None
    patterns = (holds(part, sought.pattern) for part in (others, plain))
    return normalized, stitched(*patterns, tf.zeros_like(plainest, tf.bool))


def _kinds(rows: tf.Tensor, rare: str) -> tf.Tensor:
    """Returns 0 for rows to clean, 1 for plain rows, 2 for plain rows without any of `rare`."""
    if not rare:
        return tf.cast(tf.strings.regex_full_match(rows, _PLAIN), tf.int32)
    ascii = (chr(code) for code in range(0x20, 0x7F))
    kept = "".join(literal(c) for c in ascii if not c.isalnum() and c not in rare)
    plainest = f"(?:{_LETTERS}[{kept}{_WIDE_BOUNDARIES}])*{_LETTERS}"
    others = tf.where(~tf.strings.regex_full_match(rows, plainest))
    plain = tf.strings.regex_full_match(tf.gather_nd(rows, others), _PLAIN)
    return tf.tensor_scatter_nd_update(tf.fill(tf.shape(rows), 2), others, tf.cast(plain, tf.int32))


def clean(text: tf.Tensor, *, lowercase: bool, strip_accents: bool) -> tf.Tensor:
    """Does what `normalize` does, without replacing long words."""
    text = drop_invalid_utf8(text)
    text = tf.strings.regex_replace(text, f"[{_REMOVED}]+", "")
    text = tf.strings.regex_replace(text, f"[{SPACE}]", " ")
    if strip_accents:
        text = tf_text.normalize_utf8(text, "NFD")
        text = tf.strings.regex_replace(text, r"\p{Mn}+", "")
    return lower_case(text, accents=not strip_accents) if lowercase else text


# The op for UTF-8 lower-cases in the language of the process (LC_ALL, LANG): I and İ differ in
# Turkish and Azeri; I, J and these letters with accents in Lithuanian.
_OF_LANGUAGES = {"İ": "i\u0307", "Ì": "ì", "Í": "í", "Ĩ": "ĩ", "Į": "į"}


def lower_case(text: tf.Tensor, *, accents: bool) -> tf.Tensor:
    """Lower-cases each character independently, as in no language.

    Args:
        text: string tensor, valid UTF-8.
        accents: bool, whether letters can have accents.

    Returns:
        String tensor of the same shape.
    """
    text = tf.strings.lower(text)  # ASCII alone
    text = tf.strings.regex_replace(text, "Σ", "σ")  # never ς, even at a word's end
    for upper, lower in _OF_LANGUAGES.items() if accents else ():
        text = tf.strings.regex_replace(text, upper, lower)
    return tf.strings.lower(text, encoding="utf-8")


def drop_invalid_utf8(text: tf.Tensor) -> tf.Tensor:
    """Drops the bytes that are not valid UTF-8; returns valid texts unchanged."""
    # Only valid UTF-8 matches, and matching is ten times as fast as transcoding. A dot would not
    # work here: it also matches surrogates and code points beyond U+10FFFF.
    characters = r"[\x{0}-\x{d7ff}\x{e000}-\x{10ffff}]*"
    valid = tf.reduce_all(tf.strings.regex_full_match(text, characters))
    return tf.cond(
        valid,
        lambda: text,
        lambda: tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="ignore"),
    )


def replace_long_words(text: tf.Tensor, replacement: str) -> tf.Tensor:
    """Replaces every word of more than `MAX_WORD_CHARACTERS` characters by `replacement`.

    The WordPiece op limits bytes, BERT limits characters, so the limit is applied here. Such words
    are rare, and texts are split only if there may be one.

    Args:
        text: string tensor, already normalized.
        replacement: string that is not in the tokenizer's vocabulary.

    Returns:
        String tensor of the same shape.
    """
    count = MAX_WORD_CHARACTERS + 1

    def replace():
        split = tf.strings.regex_replace(text, f"[{PUNCTUATION}{CJK}]", r" \0 ")
        return tf.strings.regex_replace(split, f"[^ ]{{{count},}}", replacement)

    candidate = f"(?s).*[^{_COMMON_BOUNDARIES}]{{{count}}}.*"
    seen = tf.reduce_any(tf.strings.regex_full_match(text, candidate))
    return tf.cond(seen, replace, lambda: text)


def split_words(
    text: tf.Tensor, *, strip_accents: bool
) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
    """Splits original strings, before normalization, at the word boundaries of BERT.

    Args:
        text: string tensor, (batch,).
        strip_accents: bool, whether normalization will decompose characters.

    Returns:
        The words and their byte offsets, start and end (exclusive): ragged, (batch, words), string
        and int64. The words still have their case, their accents and the characters that cleaning
        drops.
    """
    kept = PUNCTUATION + CJK + (DECOMPOSES_TO_PUNCTUATION if strip_accents else "")
    text = tf.strings.regex_replace(text, r"\x{0}", "\1")  # NUL would end the string in the op
    return tf_text.regex_split_with_offsets(text, f"[ {SPACE}{kept}]", f"[{kept}]")
