"""The tokenizers of KerasHub's presets <-> ours."""

import pathlib
from collections.abc import Mapping
from typing import TypedDict

from kerasbert import text
from kerasbert.checkpoints.kerashub.config import read_object
from kerasbert.checkpoints.kerashub.names import ASSETS, ERRORS, FORMAT, TOKENIZER, reason
from kerasbert.errors import InputError
from kerasbert.families import Layout
from kerasbert.text.special_tokens import USUAL_TOKENS


class _Tokenizer(TypedDict, total=False):
    lowercase: bool
    strip_accents: bool
    oov_token: str
    add_prefix_space: bool


def load_tokenizer(directory: pathlib.Path, config: Mapping) -> text.Tokenizer:
    """The tokenizer of the directory's files.

    It gives KerasHub's ids, but for what KerasHub does differently from the models' own tokenizers:

    - WordPiece: characters outside of a vocabulary's languages (see
      `kerasbert.text.normalization`). Accents stay where KerasHub's file says so, even though
      BERT's own tokenizer takes them off whenever it lower-cases.
    - Byte pairs: RoBERTa's special tokens in a text are ordinary text here.
    - ALBERT: KerasHub gives the text to the SentencePiece model as it is, capitals and all, though
      the model knows none. Here it is prepared as ALBERT's authors did: lower-cased, accents taken
      off, quotation marks unified, commas kept apart from numbers.

    Raises:
        InputError: there is none, a file of it can't be read, or it asks for something else than
            kerasbert's tokenizers.
    """
    if not (directory / ASSETS).is_dir():
        raise InputError(f"{directory}: has no tokenizer ({ASSETS})")
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


def their_tokenizer(layout: Layout, kind: str, tokenizer: text.Tokenizer):
    """KerasHub's tokenizer that does what ours does; `kind` is that of the family."""
    import keras_hub

    name = layout.models[None].replace("Backbone", "Tokenizer")
    make = getattr(keras_hub.models, name)
    if tokenizer.kind != kind:
        raise InputError(
            f"KerasHub's {name} is of the kind {kind!r}, this tokenizer "
            f"{tokenizer.kind!r}; save as 'kerasbert'"
        )
    try:
        return make(**_WRITERS[tokenizer.kind](tokenizer))
    except ERRORS as error:
        raise InputError(f"KerasHub's {name} refuses the tokenizer: {reason(error)}") from None


def _written_wordpiece(tokenizer) -> dict:
    settings = _told(tokenizer)
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


def _told(tokenizer) -> dict:
    """A tokenizer's config, with the meaning of None where that has one."""
    config = tokenizer.get_config()
    if config.get("strip_accents", False) is None:
        config["strip_accents"] = config["lowercase"]
    return config


def check_tokenizer(tokenizer, written) -> None:
    """Raises `InputError` if the tokenizer that was written is not the one that was meant."""
    ours, theirs = _told(tokenizer), _told(written)
    for name, value in ours.items():
        if theirs.get(name) != value:
            raise InputError(
                f"format {FORMAT!r} has no place for the tokenizer's {name}={value!r} (there it is "
                f"{theirs.get(name)!r}); save as 'kerasbert'"
            )
