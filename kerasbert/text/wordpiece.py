"""BERT's WordPiece tokenizer as TensorFlow ops: exact, exportable, with offsets."""

import functools
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from kerasbert.errors import InputError
from kerasbert.text import vocabulary as vocabularies
from kerasbert.text.normalization import (
    MAX_WORD_CHARACTERS,
    normalize,
    replace_long_words,
    split_words,
)


class WordPieceTokenizer:
    """Strings to WordPiece ids, id for id as BERT's reference tokenizer, inside the graph.

    Calling it on a string tensor of shape (batch,) gives an int32 `tf.RaggedTensor` (batch,
    tokens) without special tokens. `[MASK]` and the like in a text are ordinary characters, as in
    google-research/bert; `tokenize_with_mask` is for texts with blanks to fill in.

    Args:
        vocabulary: a vocabulary file, or its pieces in order.
        lowercase: whether the vocabulary is of lower-cased text.
        strip_accents: whether combining accents are dropped; None does as `lowercase` says (as
            `tokenizers` does).

    Raises:
        InputError: the vocabulary is unusable (see `load_vocabulary`).
    """

    kind = "wordpiece"

    def __init__(
        self,
        vocabulary: str | os.PathLike | Sequence[str],
        lowercase: bool = True,
        strip_accents: bool | None = None,
    ):
        if isinstance(vocabulary, (str, os.PathLike)):
            self.vocabulary = tuple(vocabularies.load_vocabulary(vocabulary))
        else:
            self.vocabulary = tuple(vocabulary)
            vocabularies.check_vocabulary(self.vocabulary)
        self.lowercase = bool(lowercase)
        self.strip_accents = strip_accents
        self._strip_accents = self.lowercase if strip_accents is None else bool(strip_accents)
        self._ids = {piece: id for id, piece in enumerate(self.vocabulary)}
        self.pad_id, self.unknown_id, self.cls_id, self.sep_id, self.mask_id = map(
            self._ids.get, vocabularies.SPECIAL_TOKENS
        )
        # Cleaning drops private-use characters, so one that no piece has can stand for "unknown".
        characters = set("".join(self.vocabulary))
        self._unknown_word = next(c for c in map(chr, range(0xE000, 0xF900)) if c not in characters)
        with tf.init_scope():
            self._wordpiece = tf_text.FastWordpieceTokenizer(
                vocab=list(self.vocabulary),
                suffix_indicator="##",
                max_bytes_per_word=4 * MAX_WORD_CHARACTERS,
                token_out_type=tf.int32,
                unknown_token=vocabularies.UNKNOWN,
            )

    @property
    def vocabulary_size(self) -> int:
        """The number of pieces."""
        return len(self.vocabulary)

    @functools.cached_property
    def vocabulary_sha256(self) -> str:
        """SHA-256 (hex) of the vocabulary file."""
        return vocabularies.vocabulary_sha256(self.vocabulary)

    @property
    def special_token_ids(self) -> list[int]:
        """The ids that are never masked nor drawn as a random token."""
        return [self._ids[token] for token in vocabularies.SPECIAL_TOKENS]

    @functools.cached_property
    def continues_word(self) -> np.ndarray:
        """bool, (vocabulary,): whether a piece continues the word of the piece before it."""
        return np.array([piece.startswith("##") for piece in self.vocabulary])

    def token_to_id(self, token: str) -> int:
        """Returns the id of a piece; raises `InputError` if the vocabulary has no such piece."""
        if token not in self._ids:
            raise InputError(f"the vocabulary has no piece {token!r}")
        return self._ids[token]

    def id_to_token(self, id: int) -> str:
        """Returns the piece with this id."""
        return self.vocabulary[id]

    def __call__(self, text) -> tf.RaggedTensor:
        """Same as `tokenize`."""
        return self.tokenize(text)

    def tokenize(self, text) -> tf.RaggedTensor:
        """Tokenizes strings.

        Args:
            text: string tensor or anything that becomes one, shape (batch,).

        Returns:
            int32, ragged, (batch, tokens).
        """
        text = _strings(text)
        text = normalize(text, lowercase=self.lowercase, strip_accents=self._strip_accents)
        return self._wordpiece.tokenize(replace_long_words(text, self._unknown_word))

    def tokenize_with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        """Tokenizes strings and says which word of the original string each token comes from.

        Args:
            text: string tensor, shape (batch,).

        Returns:
            Three ragged tensors of the same rows, (batch, tokens): the ids (int32, equal to
            `tokenize`'s), and start and end (int64, end exclusive) of the token's *word*, in bytes
            of the original string. Tokens with the same start are pieces of one word.
            `bytes_to_characters` converts offsets.
        """
        words, starts, ends = split_words(_strings(text), strip_accents=self._strip_accents)
        pieces = words.with_values(self.tokenize(words.values))
        ids = pieces.merge_dims(1, 2)
        counts = pieces.values.row_lengths()
        starts, ends = (ids.with_values(tf.repeat(x.values, counts)) for x in (starts, ends))
        return ids, starts, ends

    def tokenize_with_mask(self, text) -> tf.RaggedTensor:
        """As `tokenize`, but every `[MASK]` in a text becomes the mask token."""
        parts = tf.strings.split(_strings(text), vocabularies.MASK)
        ids = self.tokenize(parts.values)
        mask = tf.fill(tf.stack([ids.nrows(), 1]), tf.constant(self.mask_id, ids.dtype))
        with_mask = parts.with_values(tf.concat([ids, mask], axis=1)).merge_dims(1, 2)
        return with_mask[:, :-1]  # there is one part more than there are masks

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

    def get_config(self) -> dict:
        """What, beside the vocabulary file, makes this tokenizer; JSON types."""
        return {
            "kind": self.kind,
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
            "vocabulary_sha256": self.vocabulary_sha256,
        }


def _strings(text) -> tf.Tensor:
    text = tf.convert_to_tensor(text, tf.string)
    if text.shape.rank != 1:
        raise ValueError(f"expected strings of shape (batch,), found shape {text.shape}")
    return text
