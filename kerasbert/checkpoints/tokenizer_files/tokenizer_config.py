"""What the files beside a vocabulary say about a tokenizer."""

import dataclasses
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import TypedDict

from kerasbert import files
from kerasbert.checkpoints.tokenizer_files.fast import (
    FastTokenizerFile,
    added_token,
    unsupported,
    well_formed,
)
from kerasbert.checkpoints.tokenizer_files.names import (
    ADDED,
    CONFIG,
    FAST,
    GENERIC,
    MORE_SPECIAL,
    ROLES,
    SETTINGS,
    SPECIAL,
    TRIMMED,
)
from kerasbert.errors import InputError, about
from kerasbert.families import FAMILIES, layouts_of
from kerasbert.text import AddedToken, SpecialTokens
from kerasbert.text.vocabulary import unused_token


# What the files hold, as far as it is looked at.
class _Token(TypedDict):
    content: str


_More = list[str | _Token] | dict[str, str | _Token] | None


class _Special(TypedDict, total=False):
    pad_token: str | _Token | None
    unk_token: str | _Token | None
    cls_token: str | _Token | None
    sep_token: str | _Token | None
    mask_token: str | _Token | None
    additional_special_tokens: _More
    extra_special_tokens: _More


class _Class(TypedDict, total=False):
    tokenizer_class: str | None


class _Settings(_Special, _Class, total=False):
    added_tokens_decoder: dict[str, _Token] | None
    # transformers takes the string "false" for true.
    do_lower_case: bool | None
    strip_accents: bool | None
    keep_accents: bool | None
    add_prefix_space: bool | None
    trim_offsets: bool | None


# What settings may say that ours always do.
_ALWAYS = {
    "tokenize_chinese_chars": (True,),
    "do_basic_tokenize": (True,),
    "truncation_side": ("right",),
}


@dataclasses.dataclass(frozen=True)
class TokenizerConfig:
    """What the files beside the vocabulary say.

    Attributes:
        directory: where they are.
        settings: the content of tokenizer_config.json.
        fast: tokenizer.json, or None.
        special: by our name of a special token: how it is spelled, and the file that says so.
        added: the tokens that were added to the vocabulary, or marked in it, with their ids.
        more: special tokens that are named but have no id there.
    """

    directory: pathlib.Path
    settings: Mapping
    fast: FastTokenizerFile | None
    special: Mapping[str, tuple[str, pathlib.Path]]
    added: Sequence[tuple[int, AddedToken]]
    more: Sequence[AddedToken]

    @classmethod
    def read(cls, directory: pathlib.Path) -> "TokenizerConfig":
        """Reads the files; raises `InputError` if one is malformed."""

        def optional(name, kind):
            return files.read_json(directory / name, kind) if (directory / name).exists() else {}

        settings = dict(optional(SETTINGS, _Settings))
        settings.setdefault("tokenizer_class", optional(CONFIG, _Class).get("tokenizer_class"))
        fast = FastTokenizerFile.read(directory / FAST) if (directory / FAST).exists() else None
        special = {}
        sources = ((SPECIAL, optional(SPECIAL, _Special)), (SETTINGS, settings))
        for name, content in sources:
            for ours, theirs in ROLES.items():
                if content.get(theirs) is not None:
                    path = directory / name
                    special[ours] = _text(content[theirs]), path
        more = {}
        for name, content in sources:
            with about(directory / name):
                more |= _more_special(content)
        named = {*more, *(token for token, _ in special.values())}
        # What comes later counts, as in transformers.
        added = {}
        with about(directory / ADDED):
            for token, id in optional(ADDED, dict[str, int]).items():
                added[id, token] = AddedToken(token, special=token in named)
        added |= {(id, token.content): token for id, token in (fast.added if fast else ())}
        with well_formed(directory / SETTINGS):
            for id, content in (settings.get("added_tokens_decoder") or {}).items():
                token = added_token(content)
                added[int(id), token.content] = token
        with_ids = {token.content for token in added.values()}
        return cls(
            directory,
            settings,
            fast,
            special,
            [(id, added[id, token]) for id, token in sorted(added)],
            [token for content, token in more.items() if content not in with_ids],
        )

    def check(self) -> None:
        """Refuses what kerasbert's tokenizers don't do."""
        source = self.directory / SETTINGS
        name = self.settings["tokenizer_class"]
        if name and name not in GENERIC and _plain(name) not in tokenizers_by_class():
            if not source.exists() or "tokenizer_class" not in files.read_json(source):
                source = self.directory / CONFIG
            raise InputError(f"{source}: tokenizer_class={name!r} is none that kerasbert knows")
        if self.settings.get("never_split"):
            warnings.warn(
                f"{source}: never_split is not followed, nor is it by fast tokenizers",
                stacklevel=2,
            )
        for key, values in _ALWAYS.items():
            if key in self.settings and self.settings[key] not in values:
                raise unsupported(source, key, self.settings[key], values[0])

    @property
    def generic(self) -> bool:
        """Whether tokenizer.json says it all, and transformers ignores other settings."""
        return self.settings["tokenizer_class"] in GENERIC and self.fast is not None

    def defaults(self, family: Mapping) -> Mapping:
        """The facts of the tokenizer's class, where the files name one, else the family's."""
        return tokenizers_by_class().get(_plain(self.settings["tokenizer_class"] or ""), family)

    def setting(self, key: str, steps: Sequence[Mapping], otherwise, step_key: str | None = None):
        """A setting as tokenizer_config.json says it, else as the first of `steps` does."""
        if key in self.settings and not self.generic:
            return self.settings[key]
        return steps[0].get(step_key or key, otherwise) if steps else otherwise

    def tokens(self, usual: SpecialTokens, pieces: Sequence[str], source) -> SpecialTokens:
        """The special tokens as the files spell them, else as the family does."""
        pieces = frozenset(pieces)
        for ours, (token, path) in self.special.items():
            if token not in pieces:
                raise InputError(f"{path}: {ROLES[ours]}={token!r} is not in {source}")
        tokens = dataclasses.replace(usual, **{role: at[0] for role, at in self.special.items()})
        for role, token in dataclasses.asdict(tokens).items():
            if token not in pieces:
                raise InputError(
                    f"{source}: lacks the special token {token}, and no file beside it names "
                    f"another {ROLES[role]}"
                )
        return tokens

    def pieces(self, ids: Mapping[str, int], source) -> list[str]:
        """The pieces of a vocabulary and the added tokens, in the order of their ids."""
        by_id = dict(zip(ids.values(), ids, strict=True))
        for id, token in ((id, token.content) for id, token in self.added):
            if by_id.get(id) == unused_token(id):  # it fills a hole in the model's own
                by_id[id] = token
            if by_id.setdefault(id, token) != token:
                raise InputError(
                    f"{self.directory}: the added token {token!r} has the id {id}, but that is "
                    f"{by_id[id]!r} in {source}"
                )
            if ids.get(token, id) != id:
                raise InputError(
                    f"{self.directory}: the added token {token!r} has the id {id}, but {ids[token]}"
                    f" in {source}"
                )
        hole = next((id for id in range(len(by_id)) if id not in by_id), None)
        if hole is not None:
            last = max(by_id)
            raise InputError(
                f"{source}: no piece has the id {hole}, though {by_id[last]!r} has the id {last}"
            )
        pieces = [by_id[id] for id in range(len(by_id))]
        known = frozenset(pieces)
        return [*pieces, *(token.content for token in self.more if token.content not in known)]

    def added_tokens(self, special: SpecialTokens) -> list[AddedToken]:
        """The tokens that are found in texts as a whole, in the order of their ids.

        The five special tokens are not among them: in a text they are ordinary characters.
        """
        ours = dataclasses.astuple(special)
        tokens = [*(token for _, token in self.added), *self.more]
        return [token for token in tokens if token.content not in ours]

    def check_same_pieces(self, vocabulary: Sequence[str]) -> None:
        """Refuses two vocabularies in one directory."""
        for piece, id in self.fast.ids().items() if self.fast else ():
            if piece == TRIMMED and id == len(vocabulary):
                continue  # an empty line at the end of a vocabulary
            if id >= len(vocabulary) or vocabulary[id] != piece:
                stored = repr(vocabulary[id]) if id < len(vocabulary) else "nothing"
                raise InputError(
                    f"{self.fast.path}: has {piece!r} with the id {id}, where the vocabulary "
                    f"beside it has {stored}; remove the one that is not the model's"
                )


def tokenizers_by_class() -> dict[str, Mapping]:
    """The facts of tokenizers, by transformers' classes of the same.

    Others (BertJapaneseTokenizer, ...) are none of ours. A model may have another family's:
    multilingual MiniLM is a BERT with the tokenizer of XLM-R.
    """
    return {
        layout.tokenizer_class: FAMILIES[family].tokenizer
        for family, layout in layouts_of("hf").items()
        if layout.tokenizer_class
    }


def _plain(name: str) -> str:
    return name.removesuffix("Fast")


def _more_special(content: Mapping) -> dict[str, AddedToken]:
    """The special tokens that are named beside the usual ones."""
    stored = {}
    for key in MORE_SPECIAL:
        listed = content.get(key) or ()
        for token in listed.values() if isinstance(listed, Mapping) else listed:
            text = _text(token)
            facts = token if isinstance(token, Mapping) else {"content": text}
            stored[text] = added_token({"normalized": False, **facts, "special": True})
    return stored


def _text(token: str | Mapping) -> str:
    return token if isinstance(token, str) else token["content"]
