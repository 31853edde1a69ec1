r"""Matching of added tokens, before a text is tokenized, with core TensorFlow ops.

The rules are those of `AddedVocabulary` in Hugging Face `tokenizers`. Tokens that are not
`normalized` are matched first, in the original text. The other tokens are normalized themselves and
matched in the normalized rest of the text. At each position the longest match wins, and matches do
not overlap. The segments between the matches are tokenized separately, each as a text of its own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kerasbert.errors import InputError, shown
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.normalization import CUT, WHITE_SPACE, literal
from kerasbert.text.spans import Normalized, Segments, Spans, cut

_SURROGATES = re.compile("[\ud800-\udfff]")
# The characters that `\w` matches in `tokenizers`: letters, marks, decimal digits, connectors and
# joiners.
_WORD = (
    r"\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}"
    r"\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}"
)


@dataclasses.dataclass(frozen=True)
class AddedToken:
    """A token that is matched as a whole, before a text is tokenized.

    It corresponds to `AddedToken` of Hugging Face `tokenizers`.

    Args:
        content: string, the text of the token.
        special: whether the token is a marker and not a part of the text, such as the marker of an
            entity. Special tokens are never masked and never drawn as random replacements.
        lstrip: whether the token includes the white space on its left.
        rstrip: whether the token includes the white space on its right.
        single_word: whether the token is matched only where no letter, digit or underscore is
            adjacent to it.
        normalized: whether the token is normalized (lower-cased, for example) and matched in the
            normalized text. Defaults to `not special`.

    Raises:
        InputError: `content` is empty, not a string or not valid Unicode, or a flag is not a bool.

    Examples:
        >>> import kerasbert
        >>> from kerasbert.text import AddedToken
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(
        ...     words, added_tokens=[AddedToken("[E1]", special=True), AddedToken("hot dog")]
        ... )
        >>> tokenizer(["[E1] Hot dog dog"]).to_list()
        [[6, 7, 5]]
    """

    content: str
    _: dataclasses.KW_ONLY
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.content, str) or not self.content:
            raise InputError(f"an added token must be a non-empty string, found {self.content!r}")
        if _SURROGATES.search(self.content):
            raise InputError(f"the added token {self.content!r} contains an unpaired surrogate")
        if self.normalized is None:
            object.__setattr__(self, "normalized", not self.special)
        for flag in ("special", "lstrip", "rstrip", "single_word", "normalized"):
            if type(value := getattr(self, flag)) is not bool:
                raise InputError(
                    f"{flag} of the added token {shown(self.content)} must be true or false, found "
                    f"{shown(value)}"
                )

    @classmethod
    def of(
        cls, token: str | Mapping[str, Any] | AddedToken, *, special: bool = False
    ) -> AddedToken:
        """Returns an `AddedToken` for a string, an `AddedToken`, or the dict of one.

        Args:
            token: the string, `AddedToken` or dict.
            special: whether a token that is given as a string is special.

        Examples:
            >>> AddedToken.of("[E1]", special=True).special
            True
        """
        if isinstance(token, AddedToken):
            return token
        if isinstance(token, Mapping):
            return cls(**token)
        return cls(token, special=special)


class _Set:
    """A set of added tokens that are matched together.

    Args:
        tokens: pairs of id and token. The first of several with the same spelling is used.
        spelled: for each token, the string that is matched.
    """

    def __init__(self, tokens: Sequence[tuple[int, AddedToken]], spelled: Sequence[str]):
        by_spelling: dict[bytes, tuple[int, AddedToken]] = {}
        for text, token in zip(spelled, tokens, strict=True):
            if text:  # normalization may leave nothing of a token
                by_spelling.setdefault(text.encode(), token)
        # RE2 takes the first alternative that matches: the longest token must come first.
        order = sorted(by_spelling, key=len, reverse=True)
        self.pattern = "|".join(literal(text.decode()) for text in order)
        with tf.init_scope():
            prints = _fingerprint(tf.constant(list(by_spelling), tf.string)).numpy()
        by_print = np.argsort(prints)
        self._prints = prints[by_print]
        tokens = [list(by_spelling.values())[position] for position in by_print]
        self._ids = np.array([id for id, _ in tokens], np.int64)
        self._flags = {
            name: np.array([getattr(token, name) for _, token in tokens], bool)
            for name in ("lstrip", "rstrip", "single_word")
        }

    def __bool__(self) -> bool:
        return bool(self.pattern)

    def find(self, texts: tf.Tensor) -> Spans:
        """Returns the spans of the tokens in texts of valid UTF-8, string, (batch,)."""
        if not self:  # an empty pattern would match everywhere
            return Spans(*[tf.zeros([0], tf.int64)] * len(Spans._fields))
        marked = tf.strings.regex_replace(texts, self.pattern, CUT + rb"\0" + CUT)
        parts = tf.strings.split(marked, CUT)  # of every row: text, token, text, token, ..., text
        rows = parts.value_rowids()
        position = tf.range(tf.size(rows, tf.int64)) - tf.gather(parts.row_starts(), rows)
        limits = tf.cumsum(tf.cast(tf.strings.length(parts.values), tf.int64))
        limits -= tf.gather(tf.concat([[0], limits], axis=0), tf.gather(parts.row_starts(), rows))
        tokens = tf.where(tf.equal(position % 2, 1))[:, 0]
        which = tf.searchsorted(
            tf.constant(self._prints), _fingerprint(tf.gather(parts.values, tokens))
        )
        if self._flags["single_word"].any():
            kept = self._allowed(parts.values, position, tokens, which)
            tokens, which = tf.boolean_mask(tokens, kept), tf.boolean_mask(which, kept)
        rows = tf.gather(rows, tokens)
        first, last = tf.gather(limits, tokens - 1), tf.gather(limits, tokens)
        starts, ends = first, last
        if self._flags["rstrip"].any():
            ends += self._blank("rstrip", f"^[{WHITE_SPACE}]+", parts.values, tokens + 1, which)
        if self._flags["lstrip"].any():
            starts -= self._blank("lstrip", f"[{WHITE_SPACE}]+$", parts.values, tokens - 1, which)
            # White space between two tokens belongs to the first one.
            same = tf.equal(rows[1:], rows[:-1])
            taken = tf.where(same, ends[:-1], tf.zeros_like(ends[:-1]))
            starts = tf.maximum(starts, tf.concat([tf.zeros_like(starts[:1]), taken], axis=0))
        return Spans(rows, tf.gather(tf.constant(self._ids), which), starts, ends, first, last)

    def _blank(self, flag: str, pattern: str, parts, positions, which) -> tf.Tensor:
        """Returns the number of white-space bytes in `parts` at `positions` that tokens include."""
        texts = tf.gather(parts, positions)
        rest = tf.strings.regex_replace(texts, pattern, "")
        count = tf.strings.length(texts) - tf.strings.length(rest)
        takes = tf.gather(tf.constant(self._flags[flag]), which)
        return tf.cast(tf.where(takes, count, 0), tf.int64)

    def _allowed(self, parts, position, tokens, which) -> tf.Tensor:
        """Returns a mask of the tokens that satisfy `single_word`."""
        empty = tf.equal(parts, "")

        def touched(pattern, step):
            touching = tf.strings.regex_full_match(parts, pattern)
            beyond = tf.clip_by_value(tokens + 2 * step, 0, tf.size(parts, tf.int64) - 1)
            # An empty segment between two tokens of a row makes the other token the neighbor.
            same_row = tf.equal(tf.gather(position, beyond), tf.gather(position, tokens) + 2 * step)
            other = same_row & tf.gather(touching, beyond)
            return tf.where(
                tf.gather(empty, tokens + step), other, tf.gather(touching, tokens + step)
            )

        word = touched(f"(?s).*[{_WORD}]", -1) | touched(f"(?s)[{_WORD}].*", 1)
        return ~(tf.gather(tf.constant(self._flags["single_word"]), which) & word)


class AddedTokenMatcher:
    """Finds added tokens in texts and splits the texts at them.

    Args:
        tokens: pairs of id and `AddedToken`.
        normalize: function from texts of valid UTF-8, (batch,), to `Normalized`. None: texts are
            not normalized.
        spell: function from the tokens' spellings to their normalized spellings.
    """

    def __init__(
        self,
        tokens: Iterable[tuple[int, AddedToken]],
        normalize: Callable[[tf.Tensor], Normalized] | None,
        spell: Callable[[Sequence[str]], Sequence[str]],
    ):
        # If two tokens have the same normalized spelling, the special one is used.
        tokens = sorted(tokens, key=lambda pair: not pair[1].special)
        as_they_are = [pair for pair in tokens if not pair[1].normalized]
        self._as_it_is = _Set(as_they_are, [token.content for _, token in as_they_are])
        others = [pair for pair in tokens if pair[1].normalized]
        self._normalized = _Set(others, spell([token.content for _, token in others]))
        self._normalize = normalize
        #: The spellings of all tokens.
        self.contents = [token.content for _, token in tokens]

    def parts(self, texts: tf.Tensor, suspects: tf.Tensor | None) -> Segments:
        """Splits texts at the added tokens in them.

        Args:
            texts: strings of valid UTF-8, (batch,).
            suspects: bool, (batch,). False where a text certainly contains no added token.

        Returns:
            The segments of all texts, as `Segments`.
        """
        rows = tf.where(suspects)[:, 0]
        spans = self._spans(tf.gather(texts, rows))
        return cut(texts, spans._replace(rows=tf.gather(rows, spans.rows)))

    def _spans(self, texts: tf.Tensor) -> Spans:
        if not self._normalized:
            return self._as_it_is.find(texts)
        if not self._as_it_is:
            return self._normalized_spans(texts)
        spans = self._as_it_is.find(texts)
        rest = cut(texts, spans)
        rows = tf.RaggedTensor.from_row_splits(rest.begins, rest.splits).value_rowids()
        others = self._normalized_spans(rest.texts).moved(rows, rest.begins)
        both = Spans(*(tf.concat(each, axis=0) for each in zip(spans, others, strict=True)))
        stride = tf.reduce_max(tf.concat([both.ends, [0]], axis=0)) + 1
        order = tf.argsort(both.rows * stride + both.starts, stable=True)
        return Spans(*(tf.gather(each, order) for each in both))

    def _normalized_spans(self, texts: tf.Tensor) -> Spans:
        if self._normalize is None:
            return self._normalized.find(texts)
        normalized = self._normalize(texts)
        return normalized.original(self._normalized.find(normalized.texts))


def _fingerprint(words: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(words, 2**62)
