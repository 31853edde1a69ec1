"""BERT's WordPiece tokenizer as TensorFlow ops: exact, exportable, with offsets."""

import os
from collections.abc import Sequence
from typing import Self

import tensorflow as tf
import tensorflow_text as tf_text

from kerasbert.text import vocabulary as vocabularies
from kerasbert.text.normalization import (
    MAX_WORD_CHARACTERS,
    normalize,
    split_words,
)
from kerasbert.text.tokenizer import BERT_TOKENS, SpecialTokens, Tokenizer, strings


class WordPieceTokenizer(Tokenizer):
    """Strings to WordPiece ids, id for id as BERT's reference tokenizer, inside the graph.

    Calling it on a string tensor of shape (batch,) gives an int32 `tf.RaggedTensor` (batch,
    tokens); see `Tokenizer`.

    Args:
        vocabulary: a vocabulary file, or its pieces in order.
        lowercase: whether the vocabulary is of lower-cased text.
        strip_accents: whether combining accents are dropped; None does as `lowercase` says (as
            `tokenizers` does).
        special_tokens: how the vocabulary spells them.

    Raises:
        InputError: the vocabulary is unusable (see `load_vocabulary`).
    """

    kind = "wordpiece"
    asset_names = ("vocab.txt",)

    def __init__(
        self,
        vocabulary: str | os.PathLike | Sequence[str],
        lowercase: bool = True,
        strip_accents: bool | None = None,
        special_tokens: SpecialTokens = BERT_TOKENS,
    ):
        if isinstance(vocabulary, (str, os.PathLike)):
            vocabulary = vocabularies.load_vocabulary(vocabulary, special_tokens)
        else:
            vocabularies.check_vocabulary(vocabulary, special_tokens=special_tokens)
        super().__init__(vocabulary, special_tokens)
        self.lowercase = bool(lowercase)
        self.strip_accents = strip_accents
        self._strip_accents = self.lowercase if strip_accents is None else bool(strip_accents)
        # Cleaning drops private-use characters, so one that no piece has can stand for "unknown".
        characters = set("".join(self.vocabulary))
        self._unknown_word = next(c for c in map(chr, range(0xE000, 0xF900)) if c not in characters)
        with tf.init_scope():
            self._wordpiece = tf_text.FastWordpieceTokenizer(
                vocab=list(self.vocabulary),
                suffix_indicator="##",
                max_bytes_per_word=4 * MAX_WORD_CHARACTERS,
                token_out_type=tf.int32,
                unknown_token=special_tokens.unknown,
            )

    def _continues_word(self, piece: str) -> bool:
        return piece.startswith("##")

    def tokenize(self, text) -> tf.RaggedTensor:
        """Tokenizes strings (see `Tokenizer.tokenize`)."""
        text = normalize(
            strings(text),
            lowercase=self.lowercase,
            strip_accents=self._strip_accents,
            unknown_word=self._unknown_word,
        )
        return self._wordpiece.tokenize(text)

    def tokenize_with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        """Tokenizes strings, with their words (see `Tokenizer.tokenize_with_offsets`)."""
        words, starts, ends = split_words(strings(text), strip_accents=self._strip_accents)
        pieces = words.with_values(self.tokenize(words.values))
        ids = pieces.merge_dims(1, 2)
        counts = pieces.values.row_lengths()
        starts, ends = (ids.with_values(tf.repeat(x.values, counts)) for x in (starts, ends))
        return ids, starts, ends

    def detokenize(self, ids) -> tf.Tensor:
        """Joins pieces to words and words with spaces.

        Args:
            ids: integers, (batch, tokens), ragged or dense.

        Returns:
            String tensor, (batch,).
        """
        pieces = tf.gather(tf.constant(self.vocabulary), ids)
        joined = tf.strings.reduce_join(pieces, axis=-1, separator=" ")
        return tf.strings.regex_replace(joined, " ##", "")

    def assets(self) -> dict[str, bytes]:
        """The vocabulary file."""
        return {self.asset_names[0]: vocabularies.vocabulary_bytes(self.vocabulary)}

    def settings(self) -> dict:
        """What is done to letters before the vocabulary is looked into."""
        return {"lowercase": self.lowercase, "strip_accents": self.strip_accents}

    @classmethod
    def from_assets(cls, assets, special_tokens=BERT_TOKENS, **settings) -> Self:
        """The tokenizer of a vocabulary file's content."""
        ((name, data),) = assets.items()
        vocabulary = vocabularies.parse_vocabulary(data, name, special_tokens)
        return cls(vocabulary, special_tokens=special_tokens, **settings)
