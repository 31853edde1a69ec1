r"""Added tokens: found in a text before anything else is done with it, with core ops.

Which occurrence counts is decided as by `AddedVocabulary` of Hugging Face `tokenizers`. First the
tokens that are not `normalized` are looked for in the text as it is, then the others, normalized
themselves, in what is left of it when that is normalized. At a place where several fit the longest
one counts, and what was found is not looked at again. What stands between them is tokenized part
by part, each as if it were a text of its own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

import numpy as np

from kerasbert.errors import InputError, shown
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.normalization import CUT, WHITE_SPACE, literal
from kerasbert.text.spans import Normalized, Segments, Spans, cut

_SURROGATES = re.compile("[\ud800-\udfff]")
# What `\w` is to `tokenizers`: letters, marks, decimal digits, connectors and joiners.
_WORD = (
    r"\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}"
    r"\x{1f150}-\x{1f169}\x{1f170}-\x{1f189}"
)


@dataclasses.dataclass(frozen=True)
class AddedToken:
    """A token that is taken out of a text as a whole, whatever stands beside it.

    The same as `AddedToken` of Hugging Face.

    Attributes:
        content: how it is spelled.
        special: it is none of the text's own words, such as a marker of an entity: it is never
            masked nor drawn as a random token.
        lstrip: it takes the white space on its left with it.
        rstrip: it takes the white space on its right with it.
        single_word: it counts only where no letter, digit or underscore touches it.
        normalized: it is looked for in the normalized text (lower-cased, say), normalized itself;
            None: unless it is special.
    """

    content: str
    _: dataclasses.KW_ONLY
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool | None = None

    def __post_init__(self):
        if not isinstance(self.content, str) or not self.content:
            raise InputError(f"an added token must be a string, not empty; found {self.content!r}")
        if _SURROGATES.search(self.content):
            raise InputError(f"the added token {self.content!r} has half a surrogate pair")
        if self.normalized is None:
            object.__setattr__(self, "normalized", not self.special)
        for flag in ("special", "lstrip", "rstrip", "single_word", "normalized"):
            if type(value := getattr(self, flag)) is not bool:
                raise InputError(
                    f"{flag} of the added token {shown(self.content)} must be true or false, found "
                    f"{shown(value)}"
                )

    @classmethod
    def of(cls, token: str | Mapping | AddedToken, *, special: bool = False) -> Self:
        """A token of its spelling, or of the dict that `dataclasses.asdict` makes of one."""
        if isinstance(token, cls):
            return token
        if isinstance(token, Mapping):
            return cls(**token)
        return cls(token, special=special)


class _Set:
    """Added tokens that are looked for at the same time.

    Args:
        tokens: their ids and facts; of two that are spelled the same the first counts.
        spelled: how each is spelled where it is looked for.
    """

    def __init__(self, tokens: Sequence[tuple[int, AddedToken]], spelled: Sequence[str]):
        by_spelling: dict[bytes, tuple[int, AddedToken]] = {}
        for text, token in zip(spelled, tokens, strict=True):
            if text:  # normalization may leave nothing of a token
                by_spelling.setdefault(text.encode(), token)
        # The first alternative counts.
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
        """Where the tokens stand in texts of valid UTF-8, (batch,)."""
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
            # What the token before has taken is taken.
            same = tf.equal(rows[1:], rows[:-1])
            taken = tf.where(same, ends[:-1], tf.zeros_like(ends[:-1]))
            starts = tf.maximum(starts, tf.concat([tf.zeros_like(starts[:1]), taken], axis=0))
        return Spans(rows, tf.gather(tf.constant(self._ids), which), starts, ends, first, last)

    def _blank(self, flag: str, pattern: str, parts, positions, which) -> tf.Tensor:
        """How many bytes of the parts at some places tokens take with them."""
        beside = tf.gather(parts, positions)
        rest = tf.strings.regex_replace(beside, pattern, "")
        count = tf.strings.length(beside) - tf.strings.length(rest)
        takes = tf.gather(tf.constant(self._flags[flag]), which)
        return tf.cast(tf.where(takes, count, 0), tf.int64)

    def _allowed(self, parts, position, tokens, which) -> tf.Tensor:
        """Whether no word touches a token that must be one of its own."""
        empty = tf.equal(parts, "")

        def touched(pattern, step):
            touching = tf.strings.regex_full_match(parts, pattern)
            beyond = tf.clip_by_value(tokens + 2 * step, 0, tf.size(parts, tf.int64) - 1)
            # Where nothing stands between two tokens of a row, it is the other that may touch.
            same_row = tf.equal(tf.gather(position, beyond), tf.gather(position, tokens) + 2 * step)
            other = same_row & tf.gather(touching, beyond)
            return tf.where(
                tf.gather(empty, tokens + step), other, tf.gather(touching, tokens + step)
            )

        word = touched(f"(?s).*[{_WORD}]", -1) | touched(f"(?s)[{_WORD}].*", 1)
        return ~(tf.gather(tf.constant(self._flags["single_word"]), which) & word)


class AddedTokenMatcher:
    """Finds added tokens in texts.

    Args:
        tokens: ids and tokens.
        normalize: texts of valid UTF-8, (batch,), to `Normalized`; None: they stay as they are.
        spell: what normalization makes of a token's spelling.
    """

    def __init__(
        self,
        tokens: Iterable[tuple[int, AddedToken]],
        normalize: Callable[[tf.Tensor], Normalized] | None,
        spell: Callable[[Sequence[str]], Sequence[str]],
    ):
        # Of two that are normalized to the same, a special one counts.
        tokens = sorted(tokens, key=lambda pair: not pair[1].special)
        as_they_are = [pair for pair in tokens if not pair[1].normalized]
        self._as_it_is = _Set(as_they_are, [token.content for _, token in as_they_are])
        others = [pair for pair in tokens if pair[1].normalized]
        self._normalized = _Set(others, spell([token.content for _, token in others]))
        self._normalize = normalize
        #: All that is looked for, as it is spelled.
        self.contents = [token.content for _, token in tokens]

    def parts(self, texts: tf.Tensor, suspects: tf.Tensor) -> Segments:
        """Cuts texts at the added tokens in them.

        Args:
            texts: strings of valid UTF-8, (batch,).
            suspects: bool, (batch,): False where there is none for sure.
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
