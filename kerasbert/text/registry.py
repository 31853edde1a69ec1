"""Tokenizers by kind, and the way to disk and back."""

import pathlib
from collections.abc import Mapping

from kerasbert.errors import InputError
from kerasbert.text.bytepair import BytePairTokenizer
from kerasbert.text.sentencepiece import SentencePieceTokenizer
from kerasbert.text.tokenizer import SpecialTokens, Tokenizer
from kerasbert.text.wordpiece import WordPieceTokenizer

# The tokenizer of a saved model is named by its kind; the kinds are listed here and nowhere else.
TOKENIZERS: dict[str, type[Tokenizer]] = {
    tokenizer.kind: tokenizer
    for tokenizer in (WordPieceTokenizer, BytePairTokenizer, SentencePieceTokenizer)
}


def tokenizer_from_config(config: Mapping, assets: Mapping[str, bytes]) -> Tokenizer:
    """The inverse of a tokenizer's `get_config` and `assets`.

    Raises:
        InputError: a kind that this kerasbert does not know, or files of another tokenizer.
    """
    config = dict(config)
    kind, sha256 = config.pop("kind"), config.pop("vocabulary_sha256")
    if kind not in TOKENIZERS:
        raise InputError(f"there is no tokenizer {kind!r}; there are {', '.join(TOKENIZERS)}")
    special_tokens = SpecialTokens(**config.pop("special_tokens", {}))
    tokenizer = TOKENIZERS[kind].from_assets(assets, special_tokens, **config)
    if tokenizer.vocabulary_sha256 != sha256:
        raise InputError(f"{' and '.join(assets)}: not the vocabulary that belongs here")
    return tokenizer


def save_assets(tokenizer: Tokenizer, directory: pathlib.Path) -> None:
    """Writes the tokenizer's files into a directory."""
    for name, data in tokenizer.assets().items():
        (directory / name).write_bytes(data)


def load_tokenizer(directory: pathlib.Path, config: Mapping) -> Tokenizer:
    """The tokenizer of a `get_config` whose files `save_assets` wrote.

    Raises:
        InputError: a file is missing or is not what was written; the message names it.
    """
    if config.get("kind") not in TOKENIZERS:
        raise InputError(f"{directory}: needs a tokenizer of kind {config.get('kind')!r}")
    assets = {}
    for name in TOKENIZERS[config["kind"]].asset_names:
        try:
            assets[name] = (directory / name).read_bytes()
        except OSError as error:
            raise InputError(f"{directory / name}: can't be read: {error.strerror}") from None
    try:
        return tokenizer_from_config(config, assets)
    except InputError as error:
        raise InputError(f"{directory}/{error}") from None
