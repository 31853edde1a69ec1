"""The kinds of tokenizers, and saving and loading them."""

import dataclasses
import functools
import os
import pathlib
import typing
from collections.abc import Mapping
from typing import Any

from kerasbert import files, schema
from kerasbert.errors import InputError
from kerasbert.text.added_tokens import AddedToken
from kerasbert.text.bytepair import BytePairTokenizer
from kerasbert.text.packing import PACKINGS
from kerasbert.text.sentencepiece import SentencePieceTokenizer
from kerasbert.text.special_tokens import SpecialTokens
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.text.wordpiece import WordPieceTokenizer

# A saved model stores the kind of its tokenizer. This is the only list of kinds.
TOKENIZERS: dict[str, type[Tokenizer]] = {
    tokenizer.kind: tokenizer
    for tokenizer in (WordPieceTokenizer, BytePairTokenizer, SentencePieceTokenizer)
}


def tokenizer_from_config(config: Mapping[str, Any], assets: Mapping[str, bytes]) -> Tokenizer:
    """Returns the tokenizer for a `get_config` and the contents of its files.

    Args:
        config: dict, the result of `Tokenizer.get_config`.
        assets: dict of bytes, the result of `Tokenizer.assets`.

    Raises:
        InputError: the kind is unknown, a setting is invalid, or the files belong to another
            tokenizer.

    Examples:
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config, assets = tokenizer.get_config(), tokenizer.assets()
        >>> same = kerasbert.text.tokenizer_from_config(config, assets)
        >>> same.vocabulary == tokenizer.vocabulary
        True
    """
    check_config(config, "the tokenizer's config")
    config = dict(config)
    kind, sha256 = config.pop("kind"), config.pop("vocabulary_sha256")
    special_tokens = SpecialTokens(**config.pop("special_tokens", {}))
    tokenizer = TOKENIZERS[kind].from_assets(assets, special_tokens, **config)
    if tokenizer.vocabulary_sha256 != sha256:
        raise InputError(f"{' and '.join(assets)}: not the vocabulary of the tokenizer's config")
    return tokenizer


def check_config(config: Mapping[str, Any], source: Any, name: str = "") -> None:
    """Checks the stored config of a tokenizer.

    Args:
        config: the stored value.
        source: path of the file that contains it, for messages.
        name: string, its key in the file, for messages.

    Raises:
        InputError: it is not the `get_config` of a tokenizer.
    """
    kinds = typing.Literal[tuple(TOKENIZERS)]
    make: typing.Any = typing.TypedDict  # type checkers know no types that are made of values
    schema.check(config, make("Config", {"kind": kinds}), source, name)
    schema.check(config, _stored_kind(TOKENIZERS[config["kind"]]), source, name)


@functools.cache
def _stored_kind(tokenizer: type[Tokenizer]) -> type:
    """Returns the schema of a tokenizer's config, from the signature of its constructor."""
    shared = ("vocabulary", "merges", "model", "special_tokens", "added_tokens", "return")
    hints = typing.get_type_hints(tokenizer.__init__)
    hints |= {"packing": typing.Literal[tuple(PACKINGS)]} if "packing" in hints else {}
    settings = [(name, hint, None) for name, hint in hints.items() if name not in shared]
    return dataclasses.make_dataclass(
        "Config",
        [
            ("kind", str),
            ("vocabulary_sha256", str),
            *settings,
            ("special_tokens", SpecialTokens, None),
            ("added_tokens", list[AddedToken], None),
        ],
    )


def save_assets(
    tokenizer: Tokenizer, directory: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Writes the tokenizer's files to a directory, each atomically.

    Args:
        tokenizer: `Tokenizer`.
        directory: path of an existing directory.
        overwrite: whether to replace existing files of the same names.

    Raises:
        InputError: a file exists and `overwrite` is off, or it can't be written.

    Examples:
        >>> import os
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> os.mkdir("files")
        >>> kerasbert.text.save_assets(tokenizer, "files")
        >>> os.listdir("files")
        ['vocab.txt']
    """
    assets = {pathlib.Path(directory, name): data for name, data in tokenizer.assets().items()}
    for path in assets:
        files.refuse_existing(path, overwrite=overwrite, check=files.check_file)
    for path, data in assets.items():
        with files.new_file(path) as temporary:
            temporary.write_bytes(data)


def load_tokenizer(directory: str | os.PathLike[str], config: Mapping[str, Any]) -> Tokenizer:
    """Loads a tokenizer from its config and the directory that `save_assets` wrote to.

    Args:
        directory: path of the directory.
        config: dict, the result of `Tokenizer.get_config`.

    Raises:
        InputError: a file is missing or has other contents; the message names it.

    Examples:
        >>> import os
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> os.mkdir("files")
        >>> kerasbert.text.save_assets(tokenizer, "files")
        >>> same = kerasbert.text.load_tokenizer("files", tokenizer.get_config())
        >>> same(["the dog"]).to_list()
        [[5, 6]]
    """
    directory = pathlib.Path(directory)
    check_config(config, directory, "tokenizer")
    names = TOKENIZERS[config["kind"]].asset_names
    assets = {name: files.read_bytes(directory / name) for name in names}
    try:
        return tokenizer_from_config(config, assets)
    except InputError as error:
        raise InputError(f"{directory}/{error}") from None
