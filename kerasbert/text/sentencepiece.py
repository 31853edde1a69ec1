"""SentencePiece (ALBERT, XLM-R) as TensorFlow ops, with the library's ids and with offsets.

TensorFlow Text contains the library in a version equivalent to `sentencepiece` 0.2.1. Where two
segmentations of a word have the same score in single precision ("iii" as "ii i" or "i ii"), later
versions and Hugging Face `tokenizers` can choose the other one. `tokenizers` also normalizes by
grapheme, the library by character.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.lazy import tensorflow_text as tf_text
from kerasbert.registration import on_tensorflow
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
    lower_case,
    split_words,
)
from kerasbert.text.offsets import at_positions, count_at_most, split_units
from kerasbert.text.sentencepiece_model import (
    arrange,
    avoiding_number_commas,
    byte_model,
    model_parts,
)
from kerasbert.text.sentencepiece_op import load_op, load_pieces
from kerasbert.text.spans import Normalized, PreparedSegments, align
from kerasbert.text.special_tokens import ALBERT_TOKENS, SpecialTokens
from kerasbert.text.tokenizer import Tokenizer, is_true

#: SentencePiece's character for a space, with which the first piece of a word starts.
SPACE_MARK = "▁"
# The two spellings of a quotation mark that were replaced in ALBERT's training texts.
_QUOTES = "``|''"
# Characters that the usual normalization of SentencePiece (nmt_nfkc) drops or, in addition to
# `SPACE`, converts to spaces.
_BLANK = (
    r"\x{1}-\x{8}\x{b}\x{c}\x{e}-\x{1f}\x{7f}\x{8f}\x{9f}\x{200b}-\x{200f}\x{2581}\x{feff}\x{fffd}"
)


class SentencePieceTokenizer(Tokenizer):
    """SentencePiece tokenizer, as TensorFlow ops.

    The ids are those of the `sentencepiece` library. Calling the tokenizer on a string tensor of
    shape (batch,) returns an int32 `tf.RaggedTensor` of shape (batch, tokens); see `Tokenizer`. A
    module that is exported needs `resources` as an attribute, because the op stores the model
    outside the graph.

    Examples:
        A model is trained with the `sentencepiece` library here; usually it is a file, such as
        ALBERT's `spiece.model`.

        >>> import io
        >>> import sentencepiece
        >>> import kerasbert
        >>> content = io.BytesIO()
        >>> sentencepiece.SentencePieceTrainer.train(
        ...     sentence_iterator=iter(["hello world", "hello you"]),
        ...     model_writer=content,
        ...     vocab_size=15,
        ...     pad_id=0,
        ...     unk_id=1,
        ...     bos_id=-1,
        ...     eos_id=-1,
        ...     control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        ...     minloglevel=2,
        ... )
        >>> tokenizer = kerasbert.text.SentencePieceTokenizer(content.getvalue(), lowercase=True)
        >>> ids = tokenizer(["Hello world"])
        >>> tokenizer.detokenize(ids).numpy()[0].decode()
        'hello world'

    Args:
        model: path of a SentencePiece model, or its content as bytes.
        lowercase: whether to lower-case a text before the model's normalization, as for ALBERT.
        strip_accents: whether to decompose a text (NFKD) and drop the combining marks before the
            model's normalization, as for ALBERT.
        layout: "model" or "fairseq", the order of the ids. "model": that of the model (ALBERT).
            "fairseq": four tokens of fairseq replace the first three pieces, and `<mask>` is last
            (XLM-R).
        special_tokens: `SpecialTokens`, the spellings of the special tokens.
        packing: see `Tokenizer`.
        mask_takes_space: see `Tokenizer`.
        replace_quotes: whether two backticks or two apostrophes are replaced by a quotation mark
            before the model's normalization, as for ALBERT.
        avoid_number_commas: whether pieces that end in a digit and a comma are used only where no
            others spell the word (see `lower_number_commas`), as for ALBERT.
        added_tokens: see `Tokenizer`.

    Raises:
        InputError: the model cannot be read, is damaged, lacks a special token, or does not fit the
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
        self._source = "the SentencePiece model" if isinstance(model, bytes) else str(model)
        self._bytes = model if isinstance(model, bytes) else files.read_bytes(model)
        self.avoid_number_commas = bool(avoid_number_commas)
        self._num_pieces = len(pieces := load_pieces(self._bytes, self._source))
        if on_tensorflow():  # the library looks through the model
            _ = self._model
        vocabulary, self._final_ids = arrange(pieces, layout, self._source)
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

    @functools.cached_property
    def _model(self) -> tf_text.SentencepieceTokenizer:
        data, source = self._bytes, self._source
        used = avoiding_number_commas(data, source) if self.avoid_number_commas else data
        return load_op(used, source, self._num_pieces)

    @property
    def resources(self) -> list[Any]:
        """The models that the ops use; an exported module must reference them."""
        normalized = any(token.normalized for token in self.added_tokens)
        return [self._model, *([self._charsmap.model] if normalized else [])]

    def _continues_word(self, piece: str) -> bool:
        return not piece.startswith(SPACE_MARK)

    def _prepare(self, text, *, sought=None, behind_space=False):
        text = self._before_model(text)
        return text, holds(text, sought.pattern) if sought else None

    def _pieces(self, prepared) -> tf.RaggedTensor:
        return self._rearrange(self._model.tokenize(prepared))

    def tokenize_with_offsets(self, text: Any) -> tuple[tf.RaggedTensor, ...]:
        """Tokenizes strings, with the offsets of words (see `Tokenizer.tokenize_with_offsets`).

        Words are those of BERT (see `split_words`), independent of the model's pieces. A token that
        covers several words starts with the first and ends with the last. In a text without any
        word, the word of a token is the whole text.
        """
        return super().tokenize_with_offsets(text)

    def _with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        # The op's offsets refer to the prepared text, which can be longer or shorter than the
        # original. The original is therefore split into segments that are prepared separately, and
        # the cumulative lengths of the results give the segment of each offset.
        ids, *limits = self._model.tokenize_with_offsets(self._before_model(text))
        begin, limit = (tf.cast(x, tf.int64) for x in limits)
        # The start of the last character of each token.
        last = limit.with_values(tf.maximum(begin.values, limit.values - 1))
        segments = self._segments(text)
        _, words, ends = split_words(text, strip_accents=self.strip_accents)

        def word_of(segment):
            return count_at_most(words, at_positions(segments.original, segment)) - 1

        first_word = word_of(count_at_most(segments.ends, begin))
        last_word = word_of(count_at_most(segments.starts, last) - 1)
        last_word = last_word.with_values(tf.maximum(first_word.values, last_word.values))
        start, end = at_positions(words, first_word), at_positions(ends, last_word)
        lengths = tf.cast(tf.strings.length(text), tf.int64)
        whole = tf.gather(lengths, end.value_rowids())
        end = end.with_values(tf.where(end.values > 0, end.values, whole))
        return self._rearrange(ids), start, end

    def _segments(self, text: tf.Tensor) -> PreparedSegments:
        """Splits original texts into segments that can be prepared separately, without spaces."""
        kept = PUNCTUATION + CJK + (DECOMPOSES_TO_PUNCTUATION if self.strip_accents else "")
        cut = f"[ {SPACE}{_BLANK}{kept}]"
        if self.replace_quotes:
            cut = f"{_QUOTES}|{cut}"
        text = tf.strings.regex_replace(text, r"\x{0}", "\1")  # NUL would end the string in the op
        parts, starts, _ = tf_text.regex_split_with_offsets(text, cut, cut)
        prepared = self._before_model(parts.values)
        lengths = tf.cast(tf.strings.length(prepared), tf.int64)
        before = tf.cumsum(lengths, exclusive=True)
        firsts = tf.gather(tf.pad(before, [[0, 1]]), parts.row_starts())
        before -= tf.gather(firsts, parts.value_rowids())
        blank = tf.strings.regex_full_match(prepared, f"[ {SPACE}{_BLANK}]*")
        solid = parts.with_values(~blank)
        literals = (starts, parts.with_values(before), parts.with_values(before + lengths))
        return PreparedSegments(*(tf.ragged.boolean_mask(x, solid) for x in literals))

    def _before_model(self, text: tf.Tensor) -> tf.Tensor:
        """Applies the normalization that precedes the model's own."""
        text = drop_invalid_utf8(text)
        if self.replace_quotes:
            text = tf.strings.regex_replace(text, _QUOTES, '"')
        if self.strip_accents:
            text = tf_text.normalize_utf8(text, "NFKD")
            text = tf.strings.regex_replace(text, r"\p{M}+", "")
        if self.lowercase:
            # NUL would end the string in the lower-casing op. `_segments` has replaced NUL by
            # U+0001.
            text = tf.strings.regex_replace(text, r"[\x{0}\x{1}]+", "")
            text = lower_case(text, accents=not self.strip_accents)
        return text

    @functools.cached_property
    def _charsmap(self) -> Charsmap:
        rules = model_parts(self._bytes, self._source)["charsmap"]
        return Charsmap(rules, load_op(byte_model(rules), self._source, 1 + 256))

    def _normalizer(self):
        return self._normalized

    def _normalized(self, text: tf.Tensor) -> Normalized:
        """Applies the whole normalization, including the model's rules, and aligns the result."""
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
        """Converts the model's ids to those of the layout."""
        if self._final_ids is None:
            return ids
        return ids.with_values(tf.gather(tf.constant(self._final_ids, tf.int32), ids.values))

    def detokenize(self, ids: Any) -> tf.Tensor:
        """Joins pieces to texts; special tokens are included as spelled.

        Args:
            ids: integers, (batch, tokens), ragged or dense.

        Returns:
            String tensor, (batch,).

        Raises:
            InputError: no token has one of the ids.
        """
        pieces = self._spelled(tf.constant(self.vocabulary), ids)
        joined = tf.strings.reduce_join(pieces, axis=-1)
        spaced = tf.strings.regex_replace(joined, SPACE_MARK, " ")
        return tf.strings.regex_replace(spaced, "^ +", "")

    def assets(self) -> dict[str, bytes]:
        """Returns the content of the model file."""
        return {self.asset_names[0]: self._bytes}

    def settings(self) -> dict[str, Any]:
        """Returns the constructor arguments other than the model and the tokens."""
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
    def from_assets(cls, assets: Any, special_tokens: Any = ALBERT_TOKENS, **settings: Any) -> Self:
        """Returns the tokenizer for the content of a model file.

        Args:
            assets: dict of the files' names and contents.
            special_tokens: `SpecialTokens`.
            **settings: arguments of the constructor, including `added_tokens`.

        Raises:
            InputError: the files cannot be used.
        """
        ((name, data),) = assets.items()
        try:
            return cls(data, special_tokens=special_tokens, **settings)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
