"""SentencePiece (ALBERT, XLM-R) as TensorFlow ops: the library's own ids, exportable, with offsets.

The library inside TensorFlow Text answers as `sentencepiece` up to 0.2.1. Where two ways to split a
word are equally good ("iii" as "ii i" or as "i ii", in single precision), later versions and
Hugging Face `tokenizers` may take the other one. The latter also normalizes by grapheme, where the
library goes by character.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.lazy import tensorflow_text as tf_text
from kerasbert.text.added_tokens import AddedToken, AddedTokenMatcher
from kerasbert.text.charsmap import Charsmap
from kerasbert.text.normalization import (
    CJK,
    DECOMPOSES_TO_PUNCTUATION,
    PUNCTUATION,
    SPACE,
    SearchPattern,
    drop_invalid_utf8,
    holds,
    literal,
    split_words,
)
from kerasbert.text.offsets import at_places, count_at_most, split_units
from kerasbert.text.sentencepiece_model import (
    arrange,
    avoiding_number_commas,
    byte_model,
    model_parts,
)
from kerasbert.text.sentencepiece_op import load_model
from kerasbert.text.spans import Normalized, align
from kerasbert.text.special_tokens import ALBERT_TOKENS, SpecialTokens
from kerasbert.text.tokenizer import Tokenizer, is_true

#: What SentencePiece writes for a space, and so what a word's first piece starts with.
SPACE_MARK = "▁"
# The two ways to type a quotation mark that ALBERT's texts had replaced.
_QUOTES = "``|''"
# What SentencePiece's usual normalization (nmt_nfkc) turns into spaces, beside `SPACE`, or drops.
_BLANK = (
    r"\x{1}-\x{8}\x{b}\x{c}\x{e}-\x{1f}\x{7f}\x{8f}\x{9f}\x{200b}-\x{200f}\x{2581}\x{feff}\x{fffd}"
)


class SentencePieceTokenizer(Tokenizer):
    """Strings to SentencePiece ids, id for id as the `sentencepiece` library, inside the graph.

    Calling it on a string tensor of shape (batch,) gives an int32 `tf.RaggedTensor` (batch,
    tokens); see `Tokenizer`. A module that is to be exported needs `resources` as an attribute,
    since the op keeps the model outside of the graph.

    Args:
        model: a SentencePiece model: a file, or its bytes.
        lowercase: whether text is lower-cased before the model sees it, as ALBERT's was.
        strip_accents: whether text is decomposed (NFKD) and loses its combining marks before the
            model sees it, as ALBERT's did.
        layout: the order of the ids. "model": as in the model (ALBERT). "fairseq": four tokens of
            fairseq's own for the model's first three pieces, and `<mask>` at the end (XLM-R).
        special_tokens: how the vocabulary spells them.
        packing: see `Tokenizer`.
        mask_takes_space: see `Tokenizer`.
        replace_quotes: whether two backticks or two apostrophes become a quotation mark before the
            model sees them, as ALBERT's did.
        avoid_number_commas: whether a piece that ends in a digit and a comma is taken only where
            nothing else spells the word (see `lower_number_commas`), as ALBERT's are.
        added_tokens: see `Tokenizer`.

    Raises:
        InputError: the model can't be read or is none, lacks a special token, or doesn't fit the
            layout.
    """

    kind = "sentencepiece"
    asset_names = ("sentencepiece.model",)

    def __init__(
        self,
        model: str | os.PathLike | bytes,
        lowercase: bool = False,
        strip_accents: bool = False,
        layout: str = "model",
        special_tokens: SpecialTokens = ALBERT_TOKENS,
        packing: str = "bert",
        mask_takes_space: bool = True,
        replace_quotes: bool = False,
        avoid_number_commas: bool = False,
        added_tokens: Sequence[AddedToken | str | Mapping] = (),
    ):
        source = "the SentencePiece model" if isinstance(model, bytes) else str(model)
        self._bytes = model if isinstance(model, bytes) else _read(model)
        used = avoiding_number_commas(self._bytes, source) if avoid_number_commas else self._bytes
        self._model, pieces = load_model(used, source)
        vocabulary, ids = arrange(pieces, layout, source)
        super().__init__(
            vocabulary,
            special_tokens,
            added_tokens=added_tokens,
            packing=packing,
            mask_takes_space=mask_takes_space,
        )
        self.lowercase = is_true("lowercase", lowercase)
        self.strip_accents = bool(strip_accents)
        self.layout = layout
        self.replace_quotes = bool(replace_quotes)
        self.avoid_number_commas = bool(avoid_number_commas)
        self._final_ids = ids

    @property
    def resources(self) -> list:
        """What an exported module must hold on to: the models that the ops work with."""
        normalized = any(token.normalized for token in self.added_tokens)
        return [self._model, *([self._charsmap.model] if normalized else [])]

    def _continues_word(self, piece: str) -> bool:
        return not piece.startswith(SPACE_MARK)

    def _prepare(self, text, *, sought=None, behind_space=False):
        text = self._before_model(text)
        return text, holds(text, sought.pattern) if sought else None

    def _pieces(self, prepared) -> tf.RaggedTensor:
        return self._rearrange(self._model.tokenize(prepared))

    def tokenize_with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        """Tokenizes strings, with their words (see `Tokenizer.tokenize_with_offsets`).

        A word is what BERT would split off (see `split_words`), whatever the model takes together:
        a token that covers several starts with the first and ends with the last. The (rare) tokens
        of a text without any word have the whole text for their word.
        """
        return super().tokenize_with_offsets(text)

    def _with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        # The op's offsets are in the prepared text, which may be longer or shorter than the
        # original. So the original is cut to segments, each is prepared on its own, and the sum of
        # their lengths tells which segment an offset is in.
        ids, *limits = self._model.tokenize_with_offsets(self._before_model(text))
        begin, limit = (tf.cast(x, tf.int64) for x in limits)
        last = limit.with_values(tf.maximum(begin.values, limit.values - 1))  # character's place
        segments = self._segments(text)
        _, words, ends = split_words(text, strip_accents=self.strip_accents)

        def word_of(segment):
            return count_at_most(words, at_places(segments.original, segment)) - 1

        first_word = word_of(count_at_most(segments.ends, begin))
        last_word = word_of(count_at_most(segments.starts, last) - 1)
        last_word = last_word.with_values(tf.maximum(first_word.values, last_word.values))
        start, end = at_places(words, first_word), at_places(ends, last_word)
        lengths = tf.cast(tf.strings.length(text), tf.int64)
        whole = tf.gather(lengths, end.value_rowids())
        end = end.with_values(tf.where(end.values > 0, end.values, whole))
        return self._rearrange(ids), start, end

    def _segments(self, text: tf.Tensor) -> _Segments:
        """Cuts the original into parts that can be prepared one by one; spaces are left out."""
        kept = PUNCTUATION + CJK + (DECOMPOSES_TO_PUNCTUATION if self.strip_accents else "")
        cut = f"[ {SPACE}{_BLANK}{kept}]"
        if self.replace_quotes:
            cut = f"{_QUOTES}|{cut}"
        text = tf.strings.regex_replace(text, r"\x{0}", "\1")  # the split op takes NUL for the end
        parts, starts, _ = tf_text.regex_split_with_offsets(text, cut, cut)
        prepared = self._before_model(parts.values)
        lengths = tf.cast(tf.strings.length(prepared), tf.int64)
        before = tf.cumsum(lengths, exclusive=True)
        firsts = tf.gather(tf.pad(before, [[0, 1]]), parts.row_starts())
        before -= tf.gather(firsts, parts.value_rowids())
        blank = tf.strings.regex_full_match(prepared, f"[ {SPACE}{_BLANK}]*")
        solid = parts.with_values(~blank)
        literals = (starts, parts.with_values(before), parts.with_values(before + lengths))
        return _Segments(*(tf.ragged.boolean_mask(x, solid) for x in literals))

    def _before_model(self, text: tf.Tensor) -> tf.Tensor:
        """What is done to a text before the model's own normalization."""
        text = drop_invalid_utf8(text)
        if self.replace_quotes:
            text = tf.strings.regex_replace(text, _QUOTES, '"')
        if self.strip_accents:
            text = tf_text.normalize_utf8(text, "NFKD")
            text = tf.strings.regex_replace(text, r"\p{M}+", "")
        if self.lowercase:
            # The lower-casing op takes NUL for the end; `_segments` has U+0001 in NUL's place.
            text = tf.strings.regex_replace(text, r"[\x{0}\x{1}]+", "")
            text = tf.strings.regex_replace(text, "Σ", "σ")  # never ς, wherever it stands
            text = tf.strings.lower(text, encoding="utf-8")
        return text

    @functools.cached_property
    def _charsmap(self) -> Charsmap:
        source = "the SentencePiece model"
        rules = model_parts(self._bytes, source)["charsmap"]
        model, _ = load_model(byte_model(rules), source)
        return Charsmap(rules, model)

    def _normalizer(self):
        return self._normalized

    def _normalized(self, text: tf.Tensor) -> Normalized:
        """What the steps before the model and the model's own rules make of texts."""
        units = split_units(text, f"{_QUOTES}|." if self.replace_quotes else ".")
        prepared = align(
            units.texts.with_values(self._before_model(units.texts.values)), *units[1:]
        )
        return self._charsmap.normalize(prepared)

    def _sought(self, finder: AddedTokenMatcher) -> SearchPattern:
        with tf.init_scope():
            contents = self._before_model(tf.constant(finder.contents)).numpy()
        literals = {content.decode() for content in contents}
        normalized = self._spell_normalized(
            [token.content for token in self.added_tokens if token.normalized]
        )
        literals.update(normalized)
        sources = self._charsmap.sources(set("".join(normalized))) if normalized else ""
        patterns = [*map(literal, sorted(literals)), *([sources] if sources else [])]
        return SearchPattern("|".join(patterns), rare="")

    def _rearrange(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        """The model's ids to those of the layout."""
        if self._final_ids is None:
            return ids
        return ids.with_values(tf.gather(tf.constant(self._final_ids, tf.int32), ids.values))

    def detokenize(self, ids) -> tf.Tensor:
        """Joins pieces to text, special tokens among them as they are spelled.

        Args:
            ids: integers, (batch, tokens), ragged or dense.

        Returns:
            String tensor, (batch,).
        """
        pieces = tf.gather(tf.constant(self.vocabulary), ids)
        joined = tf.strings.reduce_join(pieces, axis=-1)
        spaced = tf.strings.regex_replace(joined, SPACE_MARK, " ")
        return tf.strings.regex_replace(spaced, "^ +", "")

    def assets(self) -> dict[str, bytes]:
        """The model, byte for byte."""
        return {self.asset_names[0]: self._bytes}

    def settings(self) -> dict:
        """What is done to a text before and to ids after the model."""
        return {
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
            "layout": self.layout,
            "packing": self.packing,
            "mask_takes_space": self.mask_takes_space,
            "replace_quotes": self.replace_quotes,
            "avoid_number_commas": self.avoid_number_commas,
        }

    @classmethod
    def from_assets(cls, assets, special_tokens=ALBERT_TOKENS, **settings) -> Self:
        """The tokenizer of a model file's content."""
        ((name, data),) = assets.items()
        try:
            return cls(data, special_tokens=special_tokens, **settings)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None


class _Segments(NamedTuple):
    """Parts of original texts, in bytes: int64, ragged, (batch, parts).

    Attributes:
        original: where a part starts in the original text.
        starts: where its prepared form starts in the prepared text.
        ends: where that ends.
    """

    original: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor


def _read(path: str | os.PathLike) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't read the model: {error.strerror}") from None
