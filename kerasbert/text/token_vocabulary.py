"""What a tokenizer's ids stand for: pieces of the model, added tokens, the five special tokens."""

import abc
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kerasbert.errors import InputError
from kerasbert.text.added_tokens import AddedToken
from kerasbert.text.special_tokens import SpecialTokens


class TokenVocabulary(abc.ABC):
    """Pieces with ids, to which tokens can be added.

    Args:
        vocabulary: as in `Tokenizer`, as are the others.
        special_tokens: must be among them.
        added_tokens: tokens that are not made by the model.

    Raises:
        InputError: a special token is not among the pieces; a token is added twice.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        special_tokens: SpecialTokens,
        added_tokens: Sequence[AddedToken | str | Mapping] = (),
    ):
        #: The pieces and the added tokens, in the order of their ids.
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
        """Adds tokens that are found in texts as a whole, as in transformers.

        A token that the vocabulary has already keeps its id. Every other one gets the next id, so
        that a model needs a row more in its tables: `Task.from_preset(..., tokenizer=tokenizer)`
        makes a new one for each. A tokenizer that a task has already does not change any more;
        `Task.add_tokens` makes a task of it that has tokens and rows.

        Args:
            tokens: spellings or `AddedToken`s.
            special: whether those that are spellings are special (see `AddedToken`).

        Returns:
            How many tokens were not in the vocabulary before.

        Raises:
            InputError: a task uses this tokenizer; a token is there already with other flags.
        """
        if self._used_by:
            raise InputError(
                f"the tokenizer belongs to {self._used_by}, which has been made for it; "
                "task.add_tokens(...) gives a task with more tokens"
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
        self.__dict__.pop("continues_word", None)

    def belongs_to(self, owner: str) -> None:
        """From now on the tokenizer must stay as it is; `owner` is named where it may not."""
        self._used_by = owner

    @property
    def model_tokens(self) -> tuple[str, ...]:
        """The pieces of the model alone, in the order of their ids."""
        return self.vocabulary[: self._model_size]

    @property
    def vocabulary_size(self) -> int:
        """The number of pieces, added tokens among them."""
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
        tokens = [*dataclasses.astuple(self.special_tokens)]
        tokens += [token.content for token in self.added_tokens if token.special]
        return [self._ids[token] for token in dict.fromkeys(tokens)]

    @functools.cached_property
    def continues_word(self) -> np.ndarray:
        """bool, (vocabulary,): whether a piece continues the word of the piece before it."""
        added = {token.content for token in self.added_tokens}
        return np.array([p not in added and self._continues_word(p) for p in self.vocabulary])

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
