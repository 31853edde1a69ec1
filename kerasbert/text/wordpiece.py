"""WordPiece, the tokenizer of BERT, as TensorFlow ops with offsets."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any, Self

from kerasbert.errors import InputError, about
from kerasbert.lazy import tensorflow as tf
from kerasbert.lazy import tensorflow_text as tf_text
from kerasbert.registration import on_tensorflow
from kerasbert.text import vocabulary as vocabularies
from kerasbert.text.added_tokens import AddedToken, AddedTokenMatcher
from kerasbert.text.normalization import (
    CJK,
    MAX_WORD_CHARACTERS,
    SearchPattern,
    clean,
    literal,
    normalize,
    split_words,
)
from kerasbert.text.offsets import split_units
from kerasbert.text.spans import Normalized, align
from kerasbert.text.special_tokens import BERT_TOKENS, SpecialTokens
from kerasbert.text.tokenizer import Tokenizer, is_true


class WordPieceTokenizer(Tokenizer):
    """WordPiece tokenizer, as TensorFlow ops.

    The ids are those of BERT's reference implementation. Calling the tokenizer on a string tensor
    of shape (batch,) returns an int32 `tf.RaggedTensor` of shape (batch, tokens); see `Tokenizer`.

    Examples:
        With a list of tokens; usually it is the path of a `vocab.txt`.

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s", "!"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words, lowercase=True)
        >>> ids = tokenizer(["Hello worlds!", "Hello moon"])
        >>> ids.to_list()
        [[5, 6, 7, 8], [5, 1]]
        >>> tokenizer.detokenize(ids).numpy()[0].decode()
        'hello worlds !'

    Args:
        vocabulary: path of a vocabulary file, or a list of its tokens in the order of their ids.
        lowercase: whether to lower-case texts.
        strip_accents: whether to drop combining accents. Defaults to `lowercase`, as in
            `tokenizers`.
        special_tokens: `SpecialTokens`, the spellings of the special tokens.
        added_tokens: see `Tokenizer`.

    Raises:
        InputError: the vocabulary cannot be used (see `load_vocabulary`).
    """

    kind = "wordpiece"
    asset_names = ("vocab.txt",)

    def __init__(
        self,
        vocabulary: str | os.PathLike | Sequence[str],
        lowercase: bool = True,
        strip_accents: bool | None = None,
        special_tokens: SpecialTokens = BERT_TOKENS,
        added_tokens: Sequence[AddedToken | str] = (),
    ):
        source = "vocabulary"
        if isinstance(vocabulary, (str, os.PathLike)):
            source = vocabulary
            vocabulary = vocabularies.load_vocabulary(vocabulary, special_tokens)
        else:
            vocabularies.check_vocabulary(vocabulary, special_tokens=special_tokens)
        with about(source):
            super().__init__(vocabulary, special_tokens, added_tokens=added_tokens)
            if on_tensorflow():  # it looks through the vocabulary
                _ = self._wordpiece
        self.lowercase = is_true("lowercase", lowercase)
        self.strip_accents = strip_accents
        self._strip_accents = self.lowercase
        if strip_accents is not None:
            self._strip_accents = is_true("strip_accents", strip_accents)
        # Cleaning drops private-use characters, so one that is in no token can stand for an unknown
        # word.
        characters = set("".join(self.model_tokens))
        private = (chr(code) for code in range(0xE000, 0xF900))
        self._unknown_word = next((c for c in private if c not in characters), "")
        if not self._unknown_word:
            raise InputError(f"{source}: contains all private-use characters; one must be unused")

    @functools.cached_property
    def _wordpiece(self) -> tf_text.FastWordpieceTokenizer:
        # The op does not accept long tokens. They are never needed, because longer words are
        # unknown.
        subwords = [
            vocabularies.unused_token(id)
            if len(subword.removeprefix("##")) > MAX_WORD_CHARACTERS
            else subword
            for id, subword in enumerate(self.model_tokens)
        ]
        try:
            with tf.init_scope():
                return tf_text.FastWordpieceTokenizer(
                    vocab=subwords,
                    suffix_indicator="##",
                    max_bytes_per_word=4 * MAX_WORD_CHARACTERS,
                    token_out_type=tf.int32,
                    unknown_token=self.special_tokens.unknown,
                )
        except RuntimeError as error:  # a token of over 256 bytes, or only special tokens
            raise InputError(f"the vocabulary can't be used: {error}") from None

    def _continues_word(self, subword: str) -> bool:
        return subword.startswith("##")

    def _prepare(self, text, *, sought=None, behind_space=False):
        return normalize(
            text,
            lowercase=self.lowercase,
            strip_accents=self._strip_accents,
            unknown_word=self._unknown_word,
            sought=sought,
        )

    def _pieces(self, prepared) -> tf.RaggedTensor:
        return self._wordpiece.tokenize(prepared)

    def _clean(self, text: tf.Tensor) -> tf.Tensor:
        return clean(text, lowercase=self.lowercase, strip_accents=self._strip_accents)

    def _sought(self, finder: AddedTokenMatcher) -> SearchPattern:
        with tf.init_scope():
            cleaned = self._clean(tf.constant(finder.contents)).numpy()
        # Spaces that `_normalized` inserts around CJK characters can be part of a token.
        words = (word.decode().replace(" ", "") for word in cleaned)
        return SearchPattern.of(words, lambda word: " *".join(map(literal, word)))

    def _normalizer(self):
        return self._normalized

    def _normalized(self, text: tf.Tensor) -> Normalized:
        """Applies BERT's normalizer to texts, character by character, and aligns the result."""
        units = split_units(text, ".")
        space = tf.where(tf.strings.regex_full_match(units.texts.values, f"[{CJK}]"), " ", "")
        with_spaces = (space, self._clean(units.texts.values), space)
        starts = (units.starts.values, units.starts.values, units.ends.values)
        ends = (units.starts.values, units.ends.values, units.ends.values)

        def three_for_one(values):
            flat = tf.reshape(tf.stack(values, axis=1), [-1])
            return tf.RaggedTensor.from_row_splits(flat, 3 * units.texts.row_splits, validate=False)

        return align(*map(three_for_one, (with_spaces, starts, ends)))

    def _with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        words, starts, ends = split_words(text, strip_accents=self._strip_accents)
        subwords = words.with_values(self._tokenize(words.values, None))
        ids = subwords.merge_dims(1, 2)
        counts = subwords.values.row_lengths()
        starts, ends = (ids.with_values(tf.repeat(x.values, counts)) for x in (starts, ends))
        return ids, starts, ends

    def detokenize(self, ids: Any) -> tf.Tensor:
        """Joins subwords to words, and words with spaces.

        Args:
            ids: integers, (batch, tokens), ragged or dense.

        Returns:
            String tensor, (batch,).

        Raises:
            InputError: no token has one of the ids.
        """
        subwords = self._spelled(tf.constant(self.vocabulary), ids)
        joined = tf.strings.reduce_join(subwords, axis=-1, separator=" ")
        return tf.strings.regex_replace(joined, " ##", "")

    def assets(self) -> dict[str, bytes]:
        """Returns the content of the vocabulary file."""
        return {self.asset_names[0]: vocabularies.vocabulary_bytes(self.model_tokens)}

    def settings(self) -> dict[str, Any]:
        """Returns the constructor arguments that are neither files nor tokens."""
        return {"lowercase": self.lowercase, "strip_accents": self.strip_accents}

    @classmethod
    def from_assets(cls, assets: Any, special_tokens: Any = BERT_TOKENS, **settings: Any) -> Self:
        """Returns the tokenizer for the content of a vocabulary file.

        Args:
            assets: dict of the files' names and contents.
            special_tokens: `SpecialTokens`.
            **settings: arguments of the constructor, including `added_tokens`.

        Raises:
            InputError: the files cannot be used.
        """
        ((name, data),) = assets.items()
        vocabulary = vocabularies.parse_vocabulary(data, name, special_tokens)
        with about(name):
            return cls(vocabulary, special_tokens=special_tokens, **settings)
