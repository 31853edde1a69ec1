"""The tokens of a tokenizer and their ids: the model's, added tokens and special tokens."""

import abc
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kerasbert.errors import InputError
from kerasbert.text.added_tokens import AddedToken
from kerasbert.text.special_tokens import SpecialTokens


class TokenVocabulary(abc.ABC):
    """A vocabulary to which tokens can be added.

    Args:
        vocabulary: list of strings, the model's tokens in the order of their ids.
        special_tokens: `SpecialTokens`. Each must be one of the model's or of the added tokens.
        added_tokens: list of added tokens; see `Tokenizer`.

    Raises:
        InputError: a special token is not in the vocabulary, or a token is added twice with
            different flags.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        special_tokens: SpecialTokens,
        added_tokens: Sequence[AddedToken | str | Mapping] = (),
    ):
        #: The model's tokens and the added tokens, in the order of their ids.
        self.vocabulary = tuple(vocabulary)
        self.special_tokens = special_tokens
        #: The added tokens, in the order of their ids.
        self.added_tokens: tuple[AddedToken, ...] = ()
        self._model_size = len(self.vocabulary)
        self._ids = {piece: id for id, piece in enumerate(self.vocabulary)}
        self._used_by: str | None = None
        self._add(AddedToken.of(token) for token in added_tokens)
        for token in dataclasses.astuple(special_tokens):
            if token not in self._ids:
                raise InputError(f"the vocabulary lacks the special token {token}")

    def add_tokens(
        self, tokens: str | AddedToken | Sequence[str | AddedToken], *, special: bool = False
    ) -> int:
        """Adds tokens that are matched as a whole, as `add_tokens` of transformers does.

        A token that is already in the vocabulary keeps its id. Other tokens get the next ids, and a
        model needs one more row in its embeddings for each: `Task.from_preset(...,
        tokenizer=tokenizer)` initializes these rows. The tokenizer of an existing task cannot be
        changed; use `Task.add_tokens`, which returns a task with the tokens and the rows.

        Args:
            tokens: a string or an `AddedToken`, or a list of them.
            special: whether tokens that are given as strings are special (see `AddedToken`).

        Returns:
            The number of tokens that were not in the vocabulary before.

        Raises:
            InputError: the tokenizer belongs to a task, or a token was added before with other
                flags.

        Examples:
            >>> marking = kerasbert.text.WordPieceTokenizer(words)
            >>> marking.add_tokens(["[E1]", "[/E1]"], special=True)
            2
            >>> marking(["[E1]dog[/E1]"]).to_list()
            [[8, 6, 9]]
        """
        if self._used_by:
            raise InputError(
                f"the tokenizer belongs to {self._used_by} and can't be changed; "
                "task.add_tokens(...) returns a task with more tokens"
            )
        before = self.vocabulary_size
        tokens = [tokens] if isinstance(tokens, str | AddedToken) else tokens
        self._add(AddedToken.of(token, special=special) for token in tokens)
        return self.vocabulary_size - before

    def _add(self, tokens: Iterable[AddedToken]) -> None:
        known = {token.content: token for token in self.added_tokens}
        for token in tokens:
            if known.setdefault(token.content, token) != token:
                raise InputError(
                    f"the token {token.content!r} has been added already, with other flags: "
                    f"{known[token.content]}"
                )
            self._ids.setdefault(token.content, len(self._ids))
        self.added_tokens = tuple(sorted(known.values(), key=lambda t: self._ids[t.content]))
        self.vocabulary = tuple(self._ids)
        vars(self).pop("continues_word", None)

    def belongs_to(self, owner: str) -> None:
        """Makes the vocabulary immutable; tasks call it with their name.

        Args:
            owner: string, the owner's name in error messages.
        """
        self._used_by = owner

    @property
    def model_tokens(self) -> tuple[str, ...]:
        """The tokens of the model, without added tokens, in the order of their ids.

        Examples:
            >>> tokenizer.model_tokens[5:]
            ('the', 'dog', '##s')
        """
        return self.vocabulary[: self._model_size]

    @property
    def vocabulary_size(self) -> int:
        """The number of tokens, including added tokens.

        Examples:
            >>> tokenizer.vocabulary_size
            8
        """
        return len(self.vocabulary)

    @property
    def pad_id(self) -> int:
        """The id of the padding token.

        Examples:
            >>> tokenizer.pad_id
            0
        """
        return self._ids[self.special_tokens.pad]

    @property
    def unknown_id(self) -> int:
        """The id of the unknown token.

        Examples:
            >>> tokenizer.unknown_id
            1
        """
        return self._ids[self.special_tokens.unknown]

    @property
    def cls_id(self) -> int:
        """The id of the token at the start of a row.

        Examples:
            >>> tokenizer.cls_id
            2
        """
        return self._ids[self.special_tokens.cls]

    @property
    def sep_id(self) -> int:
        """The id of the token at the end of a text.

        Examples:
            >>> tokenizer.sep_id
            3
        """
        return self._ids[self.special_tokens.sep]

    @property
    def mask_id(self) -> int:
        """The id of the mask token.

        Examples:
            >>> tokenizer.mask_id
            4
        """
        return self._ids[self.special_tokens.mask]

    @property
    def special_token_ids(self) -> list[int]:
        """The ids that are never masked and never drawn as random replacements.

        Examples:
            >>> tokenizer.special_token_ids
            [0, 1, 2, 3, 4]
        """
        tokens = [*dataclasses.astuple(self.special_tokens)]
        tokens += [token.content for token in self.added_tokens if token.special]
        return [self._ids[token] for token in dict.fromkeys(tokens)]

    @functools.cached_property
    def continues_word(self) -> np.ndarray:
        """Whether each token continues the word of the token before it: bool, (vocabulary_size,).

        Examples:
            >>> tokenizer.continues_word.tolist()
            [False, False, False, False, False, False, False, True]
        """
        added = {token.content for token in self.added_tokens}
        return np.array([p not in added and self._continues_word(p) for p in self.vocabulary])

    @abc.abstractmethod
    def _continues_word(self, piece: str) -> bool:
        """Returns whether a token of the model never starts a word."""

    def token_to_id(self, token: str) -> int:
        """Returns the id of a token.

        Args:
            token: string.

        Raises:
            InputError: the token is not in the vocabulary.

        Examples:
            >>> tokenizer.token_to_id("dog")
            6
        """
        if token not in self._ids:
            raise InputError(f"the token {token!r} is not in the vocabulary")
        return self._ids[token]

    def id_to_token(self, id: int) -> str:
        """Returns the token with this id.

        Args:
            id: integer, from 0 to `vocabulary_size - 1`.

        Raises:
            InputError: there is no such id.

        Examples:
            >>> tokenizer.id_to_token(6)
            'dog'
        """
        if not 0 <= id < self.vocabulary_size:
            raise self._no_token(id)
        return self.vocabulary[id]

    def _no_token(self, id: int) -> InputError:
        """Returns the error for an id that no token has."""
        return InputError(f"no token has the id {id}; the ids are 0 to {self.vocabulary_size - 1}")
