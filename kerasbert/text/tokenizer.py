"""What every tokenizer has: text to ids, added tokens, files, a way back from its config."""

from __future__ import annotations

import abc
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Self

from kerasbert.errors import InputError, shown
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.added_tokens import AddedToken, AddedTokenMatcher
from kerasbert.text.normalization import SearchPattern, drop_invalid_utf8, holds, split_words
from kerasbert.text.offsets import undo_drop
from kerasbert.text.spans import Normalized, join, whole
from kerasbert.text.special_tokens import SpecialTokens
from kerasbert.text.token_vocabulary import TokenVocabulary


def is_true(name: str, value) -> bool:
    """A setting that is true or false.

    Raises:
        InputError: it is something else, such as the string "false".
    """
    if value not in (True, False):
        raise InputError(f"{name} must be true or false, found {value!r}")
    return bool(value)


class Tokenizer(TokenVocabulary):
    """Strings to ids as TensorFlow ops, so that a SavedModel can take strings.

    Added tokens are taken out of a text before all else, as by transformers' fast tokenizers. The
    five special tokens in a text are ordinary characters, as in google-research/bert, but for
    `tokenize_with_mask`, and unless they are added tokens too.

    Args:
        vocabulary: the model's pieces in the order of their ids.
        special_tokens: must be among the pieces or the added tokens.
        added_tokens: tokens that are not made by the model: `AddedToken`s, their spellings, or
            dicts of what `AddedToken` takes. One that the vocabulary has keeps its id; the others
            get the next ids, in this order.
        packing: how a row is put together, see `kerasbert.text.packing`: "bert" is `[CLS] a [SEP] b
            [SEP]` with segments, "roberta" `<s> a </s></s> b </s>` without.
        mask_takes_space: whether a mask token takes the white space on its left with it.

    Raises:
        InputError: a special token is not among the pieces; a token is added twice.
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
        added_tokens: Sequence[AddedToken | str | Mapping] = (),
        packing: str = "bert",
        mask_takes_space: bool = False,
    ):
        self.packing = packing
        self.mask_takes_space = mask_takes_space
        super().__init__(vocabulary, special_tokens, added_tokens)

    def _add(self, tokens: Iterable[AddedToken]) -> None:
        super()._add(tokens)
        self._finders: dict[bool, AddedTokenMatcher | None] = {}

    @property
    def resources(self) -> list:
        """What an exported module must hold on to, as an attribute, for the ops to work."""
        return []

    # === Text ===

    def __call__(self, text) -> tf.RaggedTensor:
        """Same as `tokenize`."""
        return self.tokenize(text)

    def tokenize(self, text) -> tf.RaggedTensor:
        """Tokenizes strings; no special tokens are put around them.

        Args:
            text: string tensor or anything that becomes one, shape (batch,).

        Returns:
            int32, ragged, (batch, tokens).
        """
        return self._tokenize(strings(text), self._finder())

    def _tokenize(
        self, text: tf.Tensor, finder: AddedTokenMatcher | None, behind_space: bool = False
    ) -> tf.RaggedTensor:
        """Tokenizes strings and the added tokens that `finder` finds in them."""
        if finder is None:
            return self._pieces(self._prepare(text, behind_space=behind_space)[0])
        prepared, suspects = self._prepare(
            text, sought=self._sought(finder), behind_space=behind_space
        )

        def divided():
            parts = finder.parts(drop_invalid_utf8(text), suspects)
            return self._prepare(parts.texts, behind_space=behind_space)[0], parts

        ready, parts = tf.cond(tf.reduce_any(suspects), divided, lambda: (prepared, whole(text)))
        return join(self._pieces(ready), parts)

    @abc.abstractmethod
    def _prepare(
        self, text: tf.Tensor, *, sought: SearchPattern | None = None, behind_space: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Does with strings, (batch,), what is done before their pieces are looked for.

        Args:
            text: the strings.
            sought: what `_sought` gives; None: nothing is sought.
            behind_space: give words the spelling that they have behind a space.

        Returns:
            String tensor, (batch,); and whether each text may hold what is sought, bool, (batch,),
            or None.
        """

    @abc.abstractmethod
    def _pieces(self, prepared: tf.Tensor) -> tf.RaggedTensor:
        """The ids of what `_prepare` gives: int32, ragged, (batch, tokens)."""

    # === Added tokens ===

    def _finder(self, with_mask: bool = False) -> AddedTokenMatcher | None:
        """Finds the added tokens in texts, perhaps the mask token too; None: there are none."""
        if with_mask not in self._finders:
            tokens = list(self.added_tokens)
            mask = self.special_tokens.mask
            if with_mask and all(token.content != mask for token in tokens):
                tokens.append(AddedToken(mask, special=True, lstrip=self.mask_takes_space))
            by_id = [(self._ids[token.content], token) for token in tokens]
            made = (
                AddedTokenMatcher(by_id, self._normalizer(), self._spell_normalized)
                if tokens
                else None
            )
            if made:
                self._check_findable(made)
            self._finders[with_mask] = made
        return self._finders[with_mask]

    def _check_findable(self, finder: AddedTokenMatcher) -> None:
        try:
            with tf.init_scope():
                holds(tf.constant([""]), self._sought(finder).pattern)
        except tf.errors.InvalidArgumentError:
            longest = max(finder.contents, key=len)
            raise InputError(
                f"{len(finder.contents):,} added tokens are too many or too long to be found in "
                f"texts; the longest has {len(longest):,} characters: {shown(longest)}"
            ) from None

    def _sought(self, finder: AddedTokenMatcher) -> SearchPattern:
        """What a prepared text holds for sure that has an added token in it."""
        return SearchPattern.of(finder.contents)

    def _normalizer(self) -> Callable[[tf.Tensor], Normalized] | None:
        """What makes of a text that in which normalized tokens are looked for; None: nothing."""
        return None

    def _spell_normalized(self, contents: Sequence[str]) -> Sequence[str]:
        """What normalization makes of the spellings of added tokens."""
        normalizer = self._normalizer()
        if normalizer is None or not contents:
            return contents
        with tf.init_scope():
            texts = normalizer(tf.constant(contents, tf.string)).texts.numpy()
        return [text.decode() for text in texts]

    def tokenize_words(self, words) -> tf.RaggedTensor:
        """Tokenizes words, each on its own, as it would stand behind a space.

        Args:
            words: string tensor, shape (words,).

        Returns:
            int32, ragged, (words, tokens). A word without any piece, such as a control character,
            is one unknown token.
        """
        subwords = self._tokenize(strings(words), self._finder(), behind_space=True)
        lacking = tf.cast(tf.equal(subwords.row_lengths(), 0), tf.int64)
        unknown = tf.fill([tf.reduce_sum(lacking)], tf.constant(self.unknown_id, subwords.dtype))
        return tf.concat([subwords, tf.RaggedTensor.from_row_lengths(unknown, lacking)], axis=1)

    def tokenize_with_offsets(self, text) -> tuple[tf.RaggedTensor, ...]:
        """Tokenizes strings and says which word of the original string each token comes from.

        Args:
            text: string tensor, shape (batch,).

        Returns:
            Three ragged tensors of the same rows, (batch, tokens): the ids (int32, equal to
            `tokenize`'s), and start and end (int64, end exclusive) of the token's *word*, in bytes
            of the original string. Tokens with the same start are pieces of one word. A token that
            covers several words ends with the last. An added token is a word, without the white
            space that it takes with it.
            `bytes_to_characters` converts offsets.
        """
        text, finder = strings(text), self._finder()
        if finder is None:
            return self._with_offsets(text)
        valid = drop_invalid_utf8(text)
        _, suspects = self._prepare(valid, sought=self._sought(finder))
        parts = tf.cond(
            tf.reduce_any(suspects),
            lambda: finder.parts(valid, suspects),
            lambda: whole(valid),
        )
        ids, starts, ends = self._with_offsets(parts.texts)
        begins = tf.gather(parts.begins, ids.value_rowids())
        starts = join(starts.with_values(starts.values + begins), parts, parts.first)
        ends = join(ends.with_values(ends.values + begins), parts, parts.last)
        return join(ids, parts), *undo_drop(text, valid, starts, ends)

    def split_words(self, text) -> tuple[tf.RaggedTensor, ...]:
        """Splits texts at white space, punctuation and CJK characters, and at added tokens.

        Args:
            text: strings of valid UTF-8, (batch,).

        Returns:
            The words, string, and where each starts and ends in bytes, int64: three ragged tensors,
            (batch, words). An added token is one word.
        """
        text, finder = strings(text), self._finder()
        if finder is None:
            return split_words(text, strip_accents=False)
        _, suspects = self._prepare(text, sought=self._sought(finder))
        parts = tf.cond(
            tf.reduce_any(suspects), lambda: finder.parts(text, suspects), lambda: whole(text)
        )
        _, starts, ends = split_words(parts.texts, strip_accents=False)
        begins = tf.gather(parts.begins, starts.value_rowids())
        starts = join(starts.with_values(starts.values + begins), parts, parts.first)
        ends = join(ends.with_values(ends.values + begins), parts, parts.last)
        own = tf.gather(text, starts.value_rowids())
        words = tf.strings.substr(own, starts.values, ends.values - starts.values)
        return starts.with_values(words), starts, ends

    @abc.abstractmethod
    def _with_offsets(self, text: tf.Tensor) -> tuple[tf.RaggedTensor, ...]:
        """As `tokenize_with_offsets`, of texts, (batch,), in which no added token is looked for."""

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
        return self._tokenize(strings(text), self._finder(with_mask=True))

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
        """The constructor's other arguments but `added_tokens`; JSON types."""

    def get_config(self) -> dict:
        """What, beside the assets, makes this tokenizer; JSON types."""
        return {
            "kind": self.kind,
            **self.settings(),
            "special_tokens": dataclasses.asdict(self.special_tokens),
            **self._added_tokens_config(),
            "vocabulary_sha256": self.vocabulary_sha256,
        }

    def _added_tokens_config(self) -> dict:
        """Nothing where there are none, so that configs of old are the same."""
        added = [dataclasses.asdict(token) for token in self.added_tokens]
        return {"added_tokens": added} if added else {}

    @classmethod
    @abc.abstractmethod
    def from_assets(
        cls, assets: Mapping[str, bytes], special_tokens: SpecialTokens, **settings
    ) -> Self:
        """The tokenizer of some files' content; raises `InputError` if they can't be used.

        `settings` are the constructor's, `added_tokens` among them.
        """


def strings(text) -> tf.Tensor:
    """A string tensor of shape (batch,); raises `ValueError` for another rank."""
    text = tf.convert_to_tensor(text, tf.string)
    if text.shape.rank != 1:
        raise ValueError(f"expected strings of shape (batch,), found shape {text.shape}")
    return text
