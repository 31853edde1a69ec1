"""What every tokenizer has: pieces with ids, special tokens, files, a way back from its config."""

import abc
import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import tensorflow as tf

from kerasbert.errors import InputError
from kerasbert.text.normalization import WHITE_SPACE


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The five tokens that BERT's family needs, as a vocabulary spells them."""

    pad: str = "[PAD]"
    unknown: str = "[UNK]"
    cls: str = "[CLS]"
    sep: str = "[SEP]"
    mask: str = "[MASK]"


#: How BERT spells them.
BERT_TOKENS = SpecialTokens()

#: How RoBERTa and XLM-R spell them.
ROBERTA_TOKENS = SpecialTokens(pad="<pad>", unknown="<unk>", cls="<s>", sep="</s>", mask="<mask>")

#: How ALBERT spells them.
ALBERT_TOKENS = SpecialTokens(pad="<pad>", unknown="<unk>")


class Tokenizer(abc.ABC):
    """Strings to ids as TensorFlow ops, so that a SavedModel can take strings.

    Special tokens in a text are ordinary characters, as in google-research/bert, but for
    `tokenize_with_mask`.

    Args:
        vocabulary: the pieces in the order of their ids.
        special_tokens: must be among the pieces.
        packing: how a row is put together, see `kerasbert.text.packing`: "bert" is `[CLS] a [SEP] b
            [SEP]` with segments, "roberta" `<s> a </s></s> b </s>` without.
        mask_takes_space: whether a mask token takes the white space on its left with it.

    Raises:
        InputError: a special token is not among the pieces.
    """

    #: The name that configs know the class by.
    kind: ClassVar[str]
    #: The files that hold what the config does not, in a model's directory.
    asset_names: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        vocabulary: Sequence[str],
        special_tokens: SpecialTokens,
        *,
        packing: str = "bert",
        mask_takes_space: bool = False,
    ):
        self.vocabulary = tuple(vocabulary)
        self.special_tokens = special_tokens
        self.packing = packing
        self.mask_takes_space = mask_takes_space
        self._ids = {piece: id for id, piece in enumerate(self.vocabulary)}
        for token in dataclasses.astuple(special_tokens):
            if token not in self._ids:
                raise InputError(f"the vocabulary lacks the special token {token}")

    # === Pieces ===

    @property
    def vocabulary_size(self) -> int:
        """The number of pieces."""
        return len(self.vocabulary)

    @property
    def pad_id(self) -> int:
        """The id of padding."""
        return self._ids[self.special_tokens.pad]

    @property
    def unknown_id(self) -> int:
        """The id of what the vocabulary can't spell."""
        return self._ids[self.special_tokens.unknown]

    @property
    def cls_id(self) -> int:
        """The id of the token that starts a row."""
        return self._ids[self.special_tokens.cls]

    @property
    def sep_id(self) -> int:
        """The id of the token that ends a text."""
        return self._ids[self.special_tokens.sep]

    @property
    def mask_id(self) -> int:
        """The id that stands for a token to be guessed."""
        return self._ids[self.special_tokens.mask]

    @property
    def special_token_ids(self) -> list[int]:
        """The ids that are never masked nor drawn as a random token."""
        return [self._ids[token] for token in dataclasses.astuple(self.special_tokens)]

    @functools.cached_property
    def continues_word(self) -> np.ndarray:
        """bool, (vocabulary,): whether a piece continues the word of the piece before it."""
        return np.array([self._continues_word(piece) for piece in self.vocabulary])

    @abc.abstractmethod
    def _continues_word(self, piece: str) -> bool:
        """Whether `piece` never starts a word."""

    def token_to_id(self, token: str) -> int:
        """Returns the id of a piece; raises `InputError` if the vocabulary has no such piece."""
        if token not in self._ids:
            raise InputError(f"the vocabulary has no piece {token!r}")
        return self._ids[token]

    def id_to_token(self, id: int) -> str:
        """Returns the piece with this id."""
        return self.vocabulary[id]

    @property
    def resources(self) -> list:
        """What an exported module must hold on to, as an attribute, for the ops to work."""
        return []

    # === Text ===

    def __call__(self, text) -> tf.RaggedTensor:
        """Same as `tokenize`."""
        return self.tokenize(text)

    @abc.abstractmethod
    def tokenize(self, text) -> tf.RaggedTensor:
        """Tokenizes strings; no special tokens are added.

        Args:
            text: string tensor or anything that becomes one, shape (batch,).

        Returns:
            int32, ragged, (batch, tokens).
        """

    def tokenize_words(self, words) -> tf.RaggedTensor:
        """Tokenizes words, each on its own, as it would stand behind a space.

        Args:
            words: string tensor, shape (words,).

        Returns:
            int32, ragged, (words, tokens). A word without any piece, such as a control character,
            is one unknown token.
        """
        pieces = self.tokenize(self._behind_space(strings(words)))
        lacking = tf.cast(tf.equal(pieces.row_lengths(), 0), tf.int64)
        unknown = tf.fill([tf.reduce_sum(lacking)], tf.constant(self.unknown_id, pieces.dtype))
        return tf.concat([pieces, tf.RaggedTensor.from_row_lengths(unknown, lacking)], axis=1)

    def _behind_space(self, words: tf.Tensor) -> tf.Tensor:
        """Words as they have to be spelled to get the pieces that they have behind a space."""
        return words

    @abc.abstractmethod
    def tokenize_with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        """Tokenizes strings and says which word of the original string each token comes from.

        Args:
            text: string tensor, shape (batch,).

        Returns:
            Three ragged tensors of the same rows, (batch, tokens): the ids (int32, equal to
            `tokenize`'s), and start and end (int64, end exclusive) of the token's *word*, in bytes
            of the original string. Tokens with the same start are pieces of one word. A token that
            covers several words ends with the last.
            `bytes_to_characters` converts offsets.
        """

    @abc.abstractmethod
    def detokenize(self, ids) -> tf.Tensor:
        """Joins pieces to text.

        Args:
            ids: integers, (batch, tokens), ragged or dense.

        Returns:
            String tensor, (batch,).
        """

    def tokenize_with_mask(self, text) -> tf.RaggedTensor:
        """As `tokenize`, but every mask token (such as `[MASK]`) in a text becomes one."""
        parts = tf.strings.split(strings(text), self.special_tokens.mask)
        values = parts.values
        if self.mask_takes_space:
            place = tf.range(tf.size(values, tf.int64))
            last = tf.equal(place + 1, tf.gather(parts.row_limits(), parts.value_rowids()))
            values = tf.where(
                last, values, tf.strings.regex_replace(values, f"[{WHITE_SPACE}]+$", "")
            )
        ids = self.tokenize(values)
        mask = tf.fill(tf.stack([ids.nrows(), 1]), tf.constant(self.mask_id, ids.dtype))
        with_mask = parts.with_values(tf.concat([ids, mask], axis=1)).merge_dims(1, 2)
        return with_mask[:, :-1]  # there is one part more than there are masks

    # === Files ===

    @abc.abstractmethod
    def assets(self) -> dict[str, bytes]:
        """The content of the files named in `asset_names`."""

    @functools.cached_property
    def vocabulary_sha256(self) -> str:
        """SHA-256 (hex) of the assets, one after the other: the vocabulary's identity."""
        return hashlib.sha256(b"".join(self.assets().values())).hexdigest()

    @abc.abstractmethod
    def settings(self) -> dict:
        """The constructor's other arguments, beside what the assets hold; JSON types."""

    def get_config(self) -> dict:
        """What, beside the assets, makes this tokenizer; JSON types."""
        return {
            "kind": self.kind,
            **self.settings(),
            "special_tokens": dataclasses.asdict(self.special_tokens),
            "vocabulary_sha256": self.vocabulary_sha256,
        }

    @classmethod
    @abc.abstractmethod
    def from_assets(
        cls, assets: Mapping[str, bytes], special_tokens: SpecialTokens, **settings
    ) -> Self:
        """The tokenizer of some files' content; raises `InputError` if they can't be used."""


def strings(text) -> tf.Tensor:
    """A string tensor of shape (batch,); raises `ValueError` for another rank."""
    text = tf.convert_to_tensor(text, tf.string)
    if text.shape.rank != 1:
        raise ValueError(f"expected strings of shape (batch,), found shape {text.shape}")
    return text
