"""Conversion of tokenizers between KerasHub and kerasbert."""

import pathlib
from collections.abc import Mapping
from typing import Any, TypedDict

from kerasbert import text
from kerasbert.checkpoints.kerashub.config import read_object
from kerasbert.checkpoints.kerashub.names import ASSETS, ERRORS, TOKENIZER, reason
from kerasbert.checkpoints.settings import effective_config
from kerasbert.errors import InputError
from kerasbert.families import Layout
from kerasbert.text.special_tokens import USUAL_TOKENS


class _Tokenizer(TypedDict, total=False):
    lowercase: bool
    strip_accents: bool
    oov_token: str
    add_prefix_space: bool


def load_tokenizer(directory: pathlib.Path, config: Mapping[str, Any]) -> text.Tokenizer:
    """Loads the tokenizer of a preset.

    It returns KerasHub's ids, except where KerasHub differs from the models' own tokenizers:

    - WordPiece: characters outside a vocabulary's languages (see `kerasbert.text.normalization`).
      Accents are kept if KerasHub's file says so, although BERT's own tokenizer strips them
      whenever it lower-cases.
    - Byte pairs: RoBERTa's special tokens in a text are ordinary text here.
    - ALBERT: KerasHub passes texts to the SentencePiece model unchanged, including capitals, which
      the model lacks. Here, texts are normalized as by ALBERT's authors: lower-cased, without
      accents, with uniform quotation marks, and with commas separated from numbers.

    Raises:
        InputError: a file can't be read, or a setting is not supported.
    """
    settings = dict(config["tokenizer"])
    _, stored = read_object(directory / TOKENIZER, _Tokenizer)
    return _READERS[settings.pop("kind")](directory, stored, settings)


def _read_wordpiece(directory: pathlib.Path, stored: Mapping, settings: Mapping):
    for key, value in {"suffix_indicator": "##", "split": True}.items():
        if stored.get(key, value) != value:
            raise InputError(f"{directory / TOKENIZER}: {key}={stored[key]!r} is not supported")
    return text.WordPieceTokenizer(
        directory / ASSETS / "vocabulary.txt",
        stored.get("lowercase", False),
        stored.get("strip_accents", False),
        text.SpecialTokens(unknown=stored.get("oov_token", "[UNK]")),
    )


def _read_bytepair(directory: pathlib.Path, stored: Mapping, settings: Mapping):
    assets = directory / ASSETS
    return text.BytePairTokenizer(
        assets / "vocabulary.json", assets / "merges.txt", stored.get("add_prefix_space", False)
    )


def _read_sentencepiece(directory: pathlib.Path, stored: Mapping, settings: Mapping):
    tokens = USUAL_TOKENS["sentencepiece", settings.get("packing", "bert")]
    model = directory / ASSETS / "vocabulary.spm"
    return text.SentencePieceTokenizer(model, special_tokens=tokens, **settings)


_READERS = {
    "wordpiece": _read_wordpiece,
    "bytepair": _read_bytepair,
    "sentencepiece": _read_sentencepiece,
}


def their_tokenizer(layout: Layout, kind: str, tokenizer: text.Tokenizer) -> Any:
    """Builds the KerasHub tokenizer equivalent to ours; `kind` is that of the family."""
    import keras_hub

    name = layout.models[None].replace("Backbone", "Tokenizer")
    make = getattr(keras_hub.models, name)
    if tokenizer.kind != kind:
        raise InputError(
            f"KerasHub's {name} needs a tokenizer of the kind {kind!r}, found "
            f"{tokenizer.kind!r}; save as 'kerasbert'"
        )
    try:
        return make(**_WRITERS[tokenizer.kind](tokenizer))
    except ERRORS as error:
        raise InputError(f"KerasHub's {name} rejects the tokenizer: {reason(error)}") from None


def _written_wordpiece(tokenizer) -> dict:
    settings = effective_config(tokenizer)
    return {
        "vocabulary": list(tokenizer.vocabulary),
        "lowercase": settings["lowercase"],
        "strip_accents": settings["strip_accents"],
        "oov_token": tokenizer.special_tokens.unknown,
    }


def _written_bytepair(tokenizer) -> dict:
    return {
        "vocabulary": {piece: id for id, piece in enumerate(tokenizer.vocabulary)},
        "merges": [" ".join(pair) for pair in tokenizer.merges],
        "add_prefix_space": tokenizer.add_prefix_space,
    }


def _written_sentencepiece(tokenizer) -> dict:
    (model,) = tokenizer.assets().values()
    return {"proto": model}


_WRITERS = {
    "wordpiece": _written_wordpiece,
    "bytepair": _written_bytepair,
    "sentencepiece": _written_sentencepiece,
}
