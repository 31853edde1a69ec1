r"""Added tokens: found in a text before anything else is done with it, with core ops.

Which occurrence counts is decided as by `AddedVocabulary` of Hugging Face `tokenizers`. First the
tokens that are not `normalized` are looked for in the text as it is, then the others, normalized
themselves, in what is left of it when that is normalized. At a place where several fit the longest
one counts, and what was found is not looked at again. What stands between them is tokenized part
by part, each as if it were a text of its own.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import tensorflow as tf

from kerasbert.errors import InputError, shown
from kerasbert.text.normalization import CUT, WHITE_SPACE, literal
from kerasbert.text.offsets import at_places, count_at_most

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
    def of(cls, token: "str | Mapping | AddedToken", *, special: bool = False) -> Self:
        """A token of its spelling, or of the dict that `dataclasses.asdict` makes of one."""
        if isinstance(token, cls):
            return token
        if isinstance(token, Mapping):
            return cls(**token)
        return cls(token, special=special)


# === Where they stand ===


class Spans(NamedTuple):
    """Added tokens in texts, one after the other, row by row; int64, (tokens,), in bytes.

    Attributes:
        rows: which text a token is in.
        ids: the token's id.
        starts: where it starts, with the white space that it takes with it.
        ends: where that ends.
        first: where the token itself starts.
        last: where it ends.
    """

    rows: tf.Tensor
    ids: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor

    def moved(self, rows: tf.Tensor, begins: tf.Tensor) -> "Spans":
        """Of parts of texts: as spans of the texts, that they are in and where they begin there."""
        by = tf.gather(begins, self.rows)
        offsets = (offset + by for offset in self[2:])
        return Spans(tf.gather(rows, self.rows), self.ids, *offsets)


class Parts(NamedTuple):
    """What stands between added tokens, and which of them follows.

    Attributes:
        texts: the parts, string, (parts,).
        splits: where each text's parts start among all, int64, (batch + 1,).
        begins: where in its text each part begins, in bytes, int64, (parts,).
        following: the id of the token behind each part, int64; -1 for none.
        first: where that token starts, int64.
        last: where it ends.
    """

    texts: tf.Tensor
    splits: tf.Tensor
    begins: tf.Tensor
    following: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor


def whole(texts: tf.Tensor) -> Parts:
    """Texts without any added token, (batch,)."""
    count = tf.size(texts, tf.int64)
    none, zero = tf.fill([count], tf.constant(-1, tf.int64)), tf.zeros([count], tf.int64)
    return Parts(texts, tf.range(count + 1), zero, none, zero, zero)


def cut(texts: tf.Tensor, spans: Spans) -> Parts:
    """Cuts texts, (batch,), at the added tokens in them."""
    ragged = tf.RaggedTensor.from_value_rowids(
        spans.starts, spans.rows, tf.size(texts, tf.int64), validate=False
    )
    column = tf.zeros([tf.size(texts), 1], tf.int64)
    lengths = tf.cast(tf.strings.length(texts), tf.int64)[:, tf.newaxis]

    def behind(values, last):
        return tf.concat([ragged.with_values(values), last], axis=1).values

    begins = tf.concat([column, ragged.with_values(spans.ends)], axis=1)
    own = tf.gather(texts, begins.value_rowids())
    limits = behind(spans.starts, lengths)
    return Parts(
        tf.strings.substr(own, begins.values, tf.maximum(limits - begins.values, 0)),
        begins.row_splits,
        begins.values,
        behind(spans.ids, column - 1),
        behind(spans.first, column),
        behind(spans.last, column),
    )


def join(pieces: tf.RaggedTensor, parts: Parts, flat: tf.Tensor | None = None) -> tf.RaggedTensor:
    """Puts the tokens between the pieces of the parts, ragged (parts, pieces).

    Args:
        pieces: a value for each piece of each part.
        parts: the parts.
        flat: the value of the token behind each part; None: its id.

    Returns:
        Ragged, (batch, tokens).
    """
    flat = parts.following if flat is None else flat

    def with_tokens():
        there = parts.following >= 0
        values = tf.cast(tf.boolean_mask(flat, there), pieces.dtype)
        tokens = tf.RaggedTensor.from_row_lengths(values, tf.cast(there, tf.int64), validate=False)
        joined = tf.concat([pieces, tokens], axis=1)
        return joined.values, joined.row_splits

    values, splits = tf.cond(
        tf.reduce_any(parts.following >= 0),
        with_tokens,
        lambda: (pieces.values, tf.cast(pieces.row_splits, tf.int64)),
    )
    return tf.RaggedTensor.from_row_splits(values, tf.gather(splits, parts.splits), validate=False)


# === Looking for them ===


class Normalized(NamedTuple):
    """Normalized texts, and where in the original their bytes come from.

    Attributes:
        texts: string, (batch,).
        begins: where in the normalized text a unit begins, such as what one character became; units
            of no bytes are left out. int64, ragged, (batch, units), as are the others.
        starts: where in the original the unit starts, in bytes.
        ends: where in the original it ends.
    """

    texts: tf.Tensor
    begins: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor

    def original(self, spans: Spans) -> Spans:
        """Spans in the normalized texts as spans in the original ones."""

        def of(units, values, offsets):
            sought = tf.RaggedTensor.from_value_rowids(
                offsets, spans.rows, tf.size(self.texts, tf.int64), validate=False
            )
            return at_places(values, count_at_most(units, sought) - 1).values

        starts, first = (of(self.begins, self.starts, x) for x in (spans.starts, spans.first))
        ends, last = (of(self.begins, self.ends, x - 1) for x in (spans.ends, spans.last))
        return Spans(spans.rows, spans.ids, starts, ends, first, last)


def align(units: tf.RaggedTensor, starts: tf.RaggedTensor, ends: tf.RaggedTensor) -> Normalized:
    """Joins what the units of each text have become; all are ragged, (batch, units)."""
    lengths = tf.cast(tf.strings.length(units.values), tf.int64)
    limits = tf.cumsum(lengths)
    before = limits - lengths
    firsts = tf.gather(tf.concat([before, limits[-1:]], axis=0), units.row_starts())
    begins = units.with_values(before - tf.gather(firsts, units.value_rowids()))
    there = units.with_values(lengths > 0)
    return Normalized(
        tf.strings.reduce_join(units, axis=1),
        *(tf.ragged.boolean_mask(x, there) for x in (begins, starts, ends)),
    )


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
        tokens = [list(by_spelling.values())[place] for place in by_print]
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
        place = tf.range(tf.size(rows, tf.int64)) - tf.gather(parts.row_starts(), rows)
        limits = tf.cumsum(tf.cast(tf.strings.length(parts.values), tf.int64))
        limits -= tf.gather(tf.concat([[0], limits], axis=0), tf.gather(parts.row_starts(), rows))
        tokens = tf.where(tf.equal(place % 2, 1))[:, 0]
        which = tf.searchsorted(
            tf.constant(self._prints), _fingerprint(tf.gather(parts.values, tokens))
        )
        if self._flags["single_word"].any():
            kept = self._allowed(parts.values, place, tokens, which)
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

    def _blank(self, flag: str, pattern: str, parts, places, which) -> tf.Tensor:
        """How many bytes of the parts at some places tokens take with them."""
        beside = tf.gather(parts, places)
        rest = tf.strings.regex_replace(beside, pattern, "")
        count = tf.strings.length(beside) - tf.strings.length(rest)
        takes = tf.gather(tf.constant(self._flags[flag]), which)
        return tf.cast(tf.where(takes, count, 0), tf.int64)

    def _allowed(self, parts, place, tokens, which) -> tf.Tensor:
        """Whether no word touches a token that must be one of its own."""
        empty = tf.equal(parts, "")

        def touched(pattern, step):
            touching = tf.strings.regex_full_match(parts, pattern)
            beyond = tf.clip_by_value(tokens + 2 * step, 0, tf.size(parts, tf.int64) - 1)
            # Where nothing stands between two tokens of a row, it is the other that may touch.
            same_row = tf.equal(tf.gather(place, beyond), tf.gather(place, tokens) + 2 * step)
            other = same_row & tf.gather(touching, beyond)
            return tf.where(
                tf.gather(empty, tokens + step), other, tf.gather(touching, tokens + step)
            )

        word = touched(f"(?s).*[{_WORD}]", -1) | touched(f"(?s)[{_WORD}].*", 1)
        return ~(tf.gather(tf.constant(self._flags["single_word"]), which) & word)


class Finder:
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

    def parts(self, texts: tf.Tensor, suspects: tf.Tensor) -> Parts:
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
