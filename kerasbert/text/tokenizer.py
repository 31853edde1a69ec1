"""The base class of tokenizers: text to ids, added tokens, files and config."""

from __future__ import annotations

import abc
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from kerasbert.errors import InputError, shown
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.added_tokens import AddedToken, AddedTokenMatcher
from kerasbert.text.normalization import SearchPattern, drop_invalid_utf8, holds, split_words
from kerasbert.text.offsets import undo_drop
from kerasbert.text.spans import Normalized, join, whole
from kerasbert.text.special_tokens import SpecialTokens
from kerasbert.text.token_vocabulary import TokenVocabulary


def is_true(name: str, value: Any) -> bool:
    """Returns a bool setting.

    Args:
        name: string, the name of the setting in messages.
        value: the value.

    Raises:
        InputError: it is not a bool, for example the string "false".
    """
    if value not in (True, False):
        raise InputError(f"{name} must be true or false, found {value!r}")
    return bool(value)


class Tokenizer(TokenVocabulary):
    """Base class of tokenizers: strings to token ids as TensorFlow ops.

    Because tokenizers consist of ops, a SavedModel can take raw strings. Added tokens are matched
    in a text before it is tokenized, as by the fast tokenizers of transformers. The five special
    tokens in a text are ordinary text, as in google-research/bert, unless they are added tokens
    too; only `tokenize_with_mask` matches the mask token.

    Examples:
        What all tokenizers have, shown with a `WordPieceTokenizer`:

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "##s"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> isinstance(tokenizer, kerasbert.text.Tokenizer)
        True
        >>> tokenizer(["The dogs", "The cat"]).to_list()
        [[5, 6, 7], [5, 1]]

    Args:
        vocabulary: list of strings, the model's tokens in the order of their ids.
        special_tokens: `SpecialTokens`. Each must be one of the model's or of the added tokens.
        added_tokens: list of `AddedToken`s, strings, or dicts of the arguments of `AddedToken`. A
            token that is already in the vocabulary keeps its id; the others get the next ids, in
            this order.
        packing: "bert" for rows `[CLS] a [SEP] b [SEP]` with segments, or "roberta" for rows `<s> a
            </s></s> b </s>` without; see `kerasbert.text.packing`.
        mask_takes_space: whether a mask token in a text includes the white space on its left.

    Raises:
        InputError: a special token is not in the vocabulary, or a token is added twice with
            different flags.
    """

    #: The name of the class in configs.
    kind: ClassVar[str]
    #: The files in a model's directory that, together with the config, define the tokenizer.
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

    def __repr__(self) -> str:
        facts = [f"{self.vocabulary_size:,} tokens"]
        if self.added_tokens:
            facts.append(f"{len(self.added_tokens):,} added tokens")
        for name, value in self.settings().items():
            if value:
                facts.append(name if value is True else f"{name}={value}")
        return f"<{type(self).__name__}: {', '.join(facts)}>"

    @property
    def resources(self) -> list[Any]:
        """The objects that an exported module must reference for the ops to work."""
        return []

    # === Text ===

    def __call__(self, text: Any) -> tf.RaggedTensor:
        """Tokenizes strings as `tokenize` does.

        Args:
            text: string tensor, or a list of strings, (batch,).

        Returns:
            int32, ragged, (batch, tokens).
        """
        return self.tokenize(text)

    def tokenize(self, text: Any) -> tf.RaggedTensor:
        """Tokenizes strings, without adding special tokens.

        Args:
            text: string tensor, or a list of strings, (batch,).

        Returns:
            int32, ragged, (batch, tokens).

        Raises:
            InputError: `text` is no list of strings.

        Examples:
            >>> tokenizer.tokenize(["the dogs"])
            <tf.RaggedTensor [[5, 6, 7]]>
        """
        return self._tokenize(strings(text), self._finder())

    def _tokenize(
        self, text: tf.Tensor, finder: AddedTokenMatcher | None, behind_space: bool = False
    ) -> tf.RaggedTensor:
        """Tokenizes strings, with the added tokens that `finder` matches."""
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
        """Normalizes strings, (batch,), for `_pieces`.

        Args:
            text: string tensor, (batch,).
            sought: the result of `_sought`, or None to search for nothing.
            behind_space: bool, spell words as after a space.

        Returns:
            String tensor, (batch,); and bool, (batch,), whether each text can contain a match of
            `sought`, or None.
        """

    @abc.abstractmethod
    def _pieces(self, prepared: tf.Tensor) -> tf.RaggedTensor:
        """Returns the ids for the result of `_prepare`: int32, ragged, (batch, tokens)."""

    # === Added tokens ===

    def _finder(self, with_mask: bool = False) -> AddedTokenMatcher | None:
        """Returns the matcher of added tokens (and of the mask token), or None without tokens."""
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
                f"{len(finder.contents):,} added tokens are too many or too long to be matched "
                f"in texts; the longest has {len(longest):,} characters: {shown(longest)}"
            ) from None

    def _sought(self, finder: AddedTokenMatcher) -> SearchPattern:
        """Returns a pattern that matches every prepared text with an added token."""
        return SearchPattern.of(finder.contents)

    def _normalizer(self) -> Callable[[tf.Tensor], Normalized] | None:
        """Returns the function that normalizes texts for added tokens; None for none."""
        return None

    def _spell_normalized(self, contents: Sequence[str]) -> Sequence[str]:
        """Returns the normalized spellings of added tokens."""
        normalizer = self._normalizer()
        if normalizer is None or not contents:
            return contents
        with tf.init_scope():
            texts = normalizer(tf.constant(contents, tf.string)).texts.numpy()
        return [text.decode() for text in texts]

    def tokenize_words(self, words: Any) -> tf.RaggedTensor:
        """Tokenizes words independently, each as after a space.

        Args:
            words: string tensor, or a list of strings, (words,).

        Returns:
            int32, ragged, (words, tokens). A word without any token, such as a control character,
            becomes the unknown token.

        Examples:
            >>> tokenizer.tokenize_words(["the", "dogs"]).to_list()
            [[5], [6, 7]]
        """
        subwords = self._tokenize(strings(words), self._finder(), behind_space=True)
        lacking = tf.cast(tf.equal(subwords.row_lengths(), 0), tf.int64)
        unknown = tf.fill([tf.reduce_sum(lacking)], tf.constant(self.unknown_id, subwords.dtype))
        return tf.concat([subwords, tf.RaggedTensor.from_row_lengths(unknown, lacking)], axis=1)

    def tokenize_with_offsets(self, text: Any) -> tuple[tf.RaggedTensor, ...]:
        """Tokenizes strings, and returns the position of each token's word in the original string.

        Tokens with the same start are subwords of the same word. The end of a token that covers
        several words is the end of the last one. An added token counts as a word, without the white
        space that it takes.
        `bytes_to_characters` converts the offsets to characters.

        Args:
            text: string tensor, or a list of strings, (batch,).

        Returns:
            Three ragged tensors, (batch, tokens): the ids, int32, equal to those of `tokenize`; the
            start and the end (exclusive) of the token's word, int64, in bytes of the original
            string.

        Examples:
            >>> ids, starts, ends = tokenizer.tokenize_with_offsets(["the dogs"])
            >>> ids.to_list(), starts.to_list(), ends.to_list()
            ([[5, 6, 7]], [[0, 4, 4]], [[3, 8, 8]])
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

    def split_words(self, text: Any) -> tuple[tf.RaggedTensor, ...]:
        """Splits texts at white space, punctuation, CJK characters and added tokens.

        Args:
            text: string tensor of valid UTF-8, or a list of strings, (batch,).

        Returns:
            Three ragged tensors, (batch, words): the words, string, and the start and the end
            (exclusive) of each, int64, in bytes. An added token is one word.

        Examples:
            >>> words, starts, ends = tokenizer.split_words(["The dogs!"])
            >>> words.to_list()
            [[b'The', b'dogs', b'!']]
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
        """Does what `tokenize_with_offsets` does, for texts without added tokens, (batch,)."""

    @abc.abstractmethod
    def detokenize(self, ids: Any) -> tf.Tensor:
        """Joins tokens to texts.

        Args:
            ids: integers, (batch, tokens), ragged or dense.

        Returns:
            String tensor, (batch,).

        Raises:
            InputError: no token has one of the ids.

        Examples:
            >>> tokenizer.detokenize([[5, 6, 7]]).numpy()[0].decode()
            'the dogs'
        """

    def _spelled(self, spellings: tf.Tensor, ids: Any) -> tf.Tensor:
        """Returns the spelling of each id; outside of graphs, an unknown one is an `InputError`."""
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.convert_to_tensor(ids)
        flat = ids.flat_values if isinstance(ids, tf.RaggedTensor) else ids
        if not tf.is_symbolic_tensor(flat):
            values = flat.numpy()
            unknown = values[(values < 0) | (values >= self.vocabulary_size)]
            if unknown.size:
                raise self._no_token(unknown[0])
        return tf.gather(spellings, ids)

    def tokenize_with_mask(self, text: Any) -> tf.RaggedTensor:
        """Does what `tokenize` does, and also matches the mask token in texts.

        Args:
            text: string tensor, or a list of strings, (batch,).

        Returns:
            int32, ragged, (batch, tokens).

        Examples:
            >>> tokenizer.tokenize_with_mask(["the [MASK]"]).to_list()
            [[5, 4]]
        """
        return self._tokenize(strings(text), self._finder(with_mask=True))

    # === Files ===

    @abc.abstractmethod
    def assets(self) -> dict[str, bytes]:
        """Returns the contents of the files in `asset_names`.

        Examples:
            >>> tokenizer.assets()["vocab.txt"].decode().split()[-3:]
            ['the', 'dog', '##s']
        """

    @functools.cached_property
    def vocabulary_sha256(self) -> str:
        """SHA-256 (hex) of the concatenated assets, which identifies the vocabulary.

        Examples:
            >>> len(tokenizer.vocabulary_sha256)
            64
        """
        return hashlib.sha256(b"".join(self.assets().values())).hexdigest()

    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """Returns the constructor arguments that are neither files nor tokens, as JSON types.

        Examples:
            >>> tokenizer.settings()["lowercase"]
            True
        """

    def get_config(self) -> dict[str, Any]:
        """Returns the config as JSON types; with the assets, it defines the tokenizer.

        Examples:
            >>> tokenizer.get_config()["kind"]
            'wordpiece'
        """
        return {
            "kind": self.kind,
            **self.settings(),
            "special_tokens": dataclasses.asdict(self.special_tokens),
            **self._added_tokens_config(),
            "vocabulary_sha256": self.vocabulary_sha256,
        }

    def _added_tokens_config(self) -> dict:
        """Returns the config's entry for added tokens; none without any, as in older configs."""
        added = [dataclasses.asdict(token) for token in self.added_tokens]
        return {"added_tokens": added} if added else {}

    @classmethod
    @abc.abstractmethod
    def from_assets(
        cls, assets: Mapping[str, bytes], special_tokens: SpecialTokens, **settings: Any
    ) -> Self:
        """Returns the tokenizer for the contents of its files.

        Args:
            assets: dict of the files' names and contents.
            special_tokens: `SpecialTokens`.
            **settings: arguments of the constructor, including `added_tokens`.

        Raises:
            InputError: the files cannot be used.

        Examples:
            >>> same = type(tokenizer).from_assets(tokenizer.assets(), lowercase=True)
            >>> same.vocabulary == tokenizer.vocabulary
            True
        """


def strings(text: Any) -> tf.Tensor:
    """Returns a string tensor of shape (batch,).

    Raises:
        InputError: `text` has another type or rank.
    """
    try:
        tensor = tf.convert_to_tensor(text, tf.string)
    except (TypeError, ValueError):
        for number, value in enumerate(text if isinstance(text, list | tuple) else ()):
            if not isinstance(value, str | bytes):
                raise InputError(
                    f"texts[{number}] must be a string, found {shown(value)}"
                ) from None
        raise InputError(f"texts must be a list of strings, found {shown(text)}") from None
    if tensor.shape.rank != 1:
        one = "; put the string in a list" if tensor.shape.rank == 0 else ""
        raise InputError(f"texts must have the shape (batch,), found {tensor.shape}{one}")
    return tensor
