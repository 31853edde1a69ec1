"""The files next to a vocabulary that configure a tokenizer."""

import dataclasses
import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

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
from kerasbert.checkpoints.tokenizer_files.templates import packing_of
from kerasbert.errors import InputError, about
from kerasbert.families import FAMILIES, families_by
from kerasbert.text import AddedToken, SpecialTokens
from kerasbert.text.packing import PACKINGS
from kerasbert.text.vocabulary import unused_token


# Schemas of the keys that are read.
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
    # transformers treats the string "false" as true.
    do_lower_case: bool | None
    strip_accents: bool | None
    keep_accents: bool | None
    add_prefix_space: bool | None
    trim_offsets: bool | None


# The supported values of settings that our tokenizers do not have.
_ALWAYS = {
    "tokenize_chinese_chars": (True,),
    "do_basic_tokenize": (True,),
    "truncation_side": ("right",),
}


@dataclasses.dataclass(frozen=True)
class TokenizerConfig:
    """The content of the files next to the vocabulary.

    Attributes:
        directory: path of the directory.
        settings: dict, the content of tokenizer_config.json.
        fast: `FastTokenizerFile`, or None.
        special: dict from our name of a special token to its spelling and the file that stores it.
        added: list of the ids and tokens that were added to the vocabulary, or marked in it.
        more: list of further special tokens without ids.
        take_space: dict from spellings to whether the token includes the space before it, of the
            tokens of which a file says so.
    """

    directory: pathlib.Path
    settings: Mapping
    fast: FastTokenizerFile | None
    special: Mapping[str, tuple[str, pathlib.Path]]
    added: Sequence[tuple[int, AddedToken]]
    more: Sequence[AddedToken]
    take_space: Mapping[str, bool]

    @classmethod
    def read(cls, directory: pathlib.Path) -> "TokenizerConfig":
        """Reads the files; raises `InputError` if one is malformed."""

        def optional(name, kind):
            return files.read_json(directory / name, kind) if (directory / name).exists() else {}

        settings = dict(optional(SETTINGS, _Settings))
        if settings.get("tokenizer_class") is None:
            settings["tokenizer_class"] = optional(CONFIG, _Class).get("tokenizer_class")
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
        # Later entries have precedence, as in transformers.
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
        described: list[Any] = [content.get("mask_token") for _, content in sources]
        described += [dataclasses.asdict(token) for _, token in (fast.added if fast else ())]
        described += (settings.get("added_tokens_decoder") or {}).values()
        return cls(
            directory,
            settings,
            fast,
            special,
            [(id, added[id, token]) for id, token in sorted(added)],
            [token for content, token in more.items() if content not in with_ids],
            {
                token["content"]: token["lstrip"] is True
                for token in described
                if isinstance(token, Mapping) and "lstrip" in token
            },
        )

    def check(self) -> None:
        """Raises `InputError` for settings that our tokenizers do not support."""
        source = self.directory / SETTINGS
        name = self.settings["tokenizer_class"]
        if name and name not in GENERIC and _plain(name) not in tokenizers_by_class():
            if not source.exists() or not files.read_json(source).get("tokenizer_class"):
                source = self.directory / CONFIG
            raise InputError(f"{source}: tokenizer_class={name!r} is not supported")
        if self.settings.get("never_split"):
            warnings.warn(
                f"{source}: never_split is ignored, as by fast tokenizers",
                stacklevel=2,
            )
        for key, values in _ALWAYS.items():
            if key in self.settings and self.settings[key] not in values:
                raise unsupported(source, key, self.settings[key], values[0])

    @property
    def generic(self) -> bool:
        """Whether transformers uses tokenizer.json alone and ignores other settings."""
        return self.settings["tokenizer_class"] in GENERIC and self.fast is not None

    def defaults(self, family: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the settings of the tokenizer's class, if files name one, else the family's."""
        return tokenizers_by_class().get(_plain(self.settings["tokenizer_class"] or ""), family)

    def packing(self, tokens: SpecialTokens, usual: str, known: Sequence[str] = ()) -> str:
        """Returns how texts and special tokens form a row, see `kerasbert.text.packing`.

        Args:
            tokens: the special tokens.
            usual: the packing of the tokenizer's class.
            known: the packings of which the tokenizer has one; all by default.

        Raises:
            InputError: tokenizer.json, which transformers uses alone, has another one.
        """
        if not self.generic or self.fast is None:
            return usual
        with well_formed(self.fast.path):
            packing = packing_of(self.fast.post_processor, tokens.cls, tokens.sep)
        if packing is None or packing not in (known or PACKINGS):
            shown = {"bert": f"a {tokens.sep} b", "roberta": f"a {tokens.sep} {tokens.sep} b"}
            pairs = " or ".join(
                f"{tokens.cls} {shown[name]} {tokens.sep}" for name in known or PACKINGS
            )
            raise InputError(
                f"{self.fast.path}: its post_processor is not supported; only one that makes "
                f"{tokens.cls} a {tokens.sep} of a text, and {pairs} of a pair is"
            )
        return packing

    def setting(
        self,
        key: str,
        steps: Sequence[Mapping[str, Any]],
        otherwise: Any,
        step_key: str | None = None,
    ) -> Any:
        """Returns a setting of tokenizer_config.json, or else of the first of `steps`."""
        if key in self.settings and not self.generic:
            return self.settings[key]
        return steps[0].get(step_key or key, otherwise) if steps else otherwise

    def tokens(self, usual: SpecialTokens, pieces: Sequence[str], source: Any) -> SpecialTokens:
        """Returns the special tokens, as spelled in the files or else as usual in the family."""
        known = frozenset(pieces)
        for ours, (token, path) in self.special.items():
            if token not in known:
                raise InputError(f"{path}: {ROLES[ours]}={token!r} is not in {source}")
        tokens = dataclasses.replace(usual, **{role: at[0] for role, at in self.special.items()})
        for role, token in dataclasses.asdict(tokens).items():
            if token not in known:
                raise InputError(
                    f"{source}: lacks the special token {token}, and no other file defines "
                    f"another {ROLES[role]}"
                )
        return tokens

    def pieces(self, ids: Mapping[str, int], source: Any) -> list[str]:
        """Returns the tokens of a vocabulary and the added tokens, in the order of their ids."""
        by_id = dict(zip(ids.values(), ids, strict=True))
        for id, token in ((id, token.content) for id, token in self.added):
            if by_id.get(id) == unused_token(id):  # it fills an unused id of the model
                by_id[id] = token
            if by_id.setdefault(id, token) != token:
                raise InputError(
                    f"{self.directory}: the added token {token!r} has the id {id}, which is "
                    f"{by_id[id]!r} in {source}"
                )
            if ids.get(token, id) != id:
                raise InputError(
                    f"{self.directory}: the added token {token!r} has the id {id}, but the id "
                    f"{ids[token]} in {source}"
                )
        hole = next((id for id in range(len(by_id)) if id not in by_id), None)
        if hole is not None:
            last = max(by_id)
            raise InputError(
                f"{source}: no token has the id {hole}, but {by_id[last]!r} has the id {last}"
            )
        pieces = [by_id[id] for id in range(len(by_id))]
        known = frozenset(pieces)
        return [*pieces, *(token.content for token in self.more if token.content not in known)]

    def added_tokens(self, special: SpecialTokens) -> list[AddedToken]:
        """Returns the tokens that are matched as a whole, in the order of their ids.

        The five special tokens are not among them: in a text, they are ordinary text.
        """
        ours = dataclasses.astuple(special)
        tokens = [*(token for _, token in self.added), *self.more]
        return [token for token in tokens if token.content not in ours]

    def check_same_pieces(self, vocabulary: Sequence[str]) -> None:
        """Raises `InputError` if the directory contains two different vocabularies."""
        if self.fast is None:
            return
        ids = self.fast.ids()
        for piece, id in ids.items():
            if piece == TRIMMED and id == len(vocabulary):
                continue  # an empty line at the end of a vocabulary
            if id >= len(vocabulary) or vocabulary[id] != piece:
                stored = repr(vocabulary[id]) if id < len(vocabulary) else "nothing"
                raise InputError(
                    f"{self.fast.path}: has {piece!r} with the id {id}, where the vocabulary "
                    f"file has {stored}; remove the file that does not belong to the model"
                )
        known = {TRIMMED, *ids, *(token.content for _, token in self.added)}
        known |= {token.content for token in self.more}
        for id, piece in enumerate(vocabulary):
            if piece not in known and piece != unused_token(id):
                raise InputError(
                    f"{self.fast.path}: lacks {piece!r}, which has the id {id} in the vocabulary "
                    "file; remove the file that does not belong to the model"
                )


def tokenizers_by_class() -> dict[str, Mapping[str, Any]]:
    """Returns the settings of tokenizers by their classes in transformers.

    Other classes, such as BertJapaneseTokenizer, are not supported. A model can have the tokenizer
    of another family: multilingual MiniLM is a BERT with the tokenizer of XLM-R.
    """
    named = families_by("hf", "tokenizer_class")
    return {name: FAMILIES[family].tokenizer for name, family in named.items()}


def _plain(name: str) -> str:
    return name.removesuffix("Fast")


def _more_special(content: Mapping) -> dict[str, AddedToken]:
    """Returns the special tokens that are listed in addition to the usual ones."""
    stored = {}
    for key in MORE_SPECIAL:
        listed = content.get(key) or ()
        for token in listed.values() if isinstance(listed, Mapping) else listed:
            text = _text(token)
            flags = token if isinstance(token, Mapping) else {"content": text}
            stored[text] = added_token({"normalized": False, **flags, "special": True})
    return stored


def _text(token: str | Mapping) -> str:
    return token if isinstance(token, str) else token["content"]
