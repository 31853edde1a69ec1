"""Files with which `kerasbert.serving.encode` gives a tokenizer's ids without TensorFlow.

WordPiece and byte-level BPE become a `tokenizer.json` of Hugging Face `tokenizers`, without the
special tokens, which are ordinary text here. Its WordPiece has other Unicode tables than ours: the
characters that it treats differently are replaced in the text before, by what they become here.
SentencePiece is the model's own file, and a table of what each character becomes before it.
"""

from __future__ import annotations

import pathlib
from typing import Any

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.added_tokens import AddedToken
from kerasbert.text.bytepair import BytePairTokenizer
from kerasbert.text.packing import PACKINGS
from kerasbert.text.sentencepiece import SentencePieceTokenizer
from kerasbert.text.sentencepiece_model import (
    REPLACED,
    arrange,
    avoiding_number_commas,
    no_unigram,
    parse,
)
from kerasbert.text.tokenizer import Tokenizer
from kerasbert.text.tokenizers_library import all_characters, normalizer, other_characters
from kerasbert.text.wordpiece import WordPieceTokenizer

TOKENIZERS_FILE, MODEL_FILE = "tokenizer.json", "sentencepiece.model"


def write(
    directory: pathlib.Path, tokenizer: Tokenizer, *, with_mask: bool, words: bool
) -> dict[str, Any]:
    """Writes the files of a tokenizer; returns the settings of the encoder in JSON types.

    Args:
        directory: an existing directory.
        tokenizer: a `Tokenizer`.
        with_mask: whether the mask token in a text is that token.
        words: whether each text is a word, spelled as after a space.

    Raises:
        InputError: the ids can't be exactly these.
    """
    tokens = _matched(tokenizer, with_mask)
    special = ("pad", "unknown", "cls", "sep", "mask")
    separators, has_segments = PACKINGS[tokenizer.packing]
    return {
        **{f"{name}_id": getattr(tokenizer, f"{name}_id") for name in special},
        "separators": separators,
        "segments": has_segments,
        **_WRITERS[tokenizer.kind](directory, tokenizer, tokens, words),
    }


def _matched(tokenizer: Tokenizer, with_mask: bool) -> list[AddedToken]:
    """Returns the tokens that are matched in texts."""
    tokens, mask = list(tokenizer.added_tokens), tokenizer.special_tokens.mask
    if with_mask and all(token.content != mask for token in tokens):
        tokens.append(AddedToken(mask, special=True, lstrip=tokenizer.mask_takes_space))
    return tokens


def _no_encoder(what: str) -> InputError:
    return InputError(
        f"the ids of {what} can't be computed exactly without TensorFlow; only a SavedModel, which "
        "takes the text itself, can be exported"
    )


# === tokenizers ===


def _write_wordpiece(directory: pathlib.Path, tokenizer, tokens, words: bool) -> dict:
    from tokenizers import Tokenizer as Theirs
    from tokenizers import models, pre_tokenizers

    ids = {subword: id for id, subword in enumerate(tokenizer.model_tokens)}
    unknown = tokenizer.special_tokens.unknown
    theirs = Theirs(models.WordPiece(ids, unk_token=unknown, max_input_chars_per_word=100))
    lowercase, strip_accents = tokenizer.lowercase, tokenizer.strip_accents
    strip_accents = lowercase if strip_accents is None else strip_accents
    theirs.normalizer = normalizer(lowercase, strip_accents)
    theirs.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    replaced, refused = other_characters(lowercase, strip_accents)
    normalized = "".join(token.content for token in tokens if token.normalized)
    if {*normalized} & {*replaced, *refused}:
        raise _no_encoder("an added token with a character that `tokenizers` treats differently")
    return {
        **_saved(directory, theirs, tokenizer, tokens),
        "characters": replaced,
        "refused": refused,
        # What is replaced would be matched as what it becomes.
        "refuses_replaced": bool(tokens),
    }


def _write_bytepair(directory: pathlib.Path, tokenizer, tokens, words: bool) -> dict:
    from tokenizers import Tokenizer as Theirs
    from tokenizers import models, pre_tokenizers

    ids = {subword: id for id, subword in enumerate(tokenizer.model_tokens)}
    lacking = {*pre_tokenizers.ByteLevel.alphabet()} - ids.keys()
    if lacking:
        raise _no_encoder(f"a BPE vocabulary that lacks {len(lacking)} of the 256 bytes")
    theirs = Theirs(models.BPE(ids, [tuple(pair) for pair in tokenizer.merges]))
    spaced = words or tokenizer.add_prefix_space
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=spaced)
    return _saved(directory, theirs, tokenizer, tokens)


def _saved(directory: pathlib.Path, theirs, tokenizer: Tokenizer, tokens) -> dict:
    """Adds tokens to a tokenizer of `tokenizers`, and saves it."""
    import tokenizers

    for token in tokens:  # with `normalized` as it is, which `add_special_tokens` would change
        flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
        flags = {name: getattr(token, name) for name in flags}
        theirs.add_tokens([tokenizers.AddedToken(token.content, **flags)])
        if theirs.token_to_id(token.content) != tokenizer.token_to_id(token.content):
            raise _no_encoder(f"the added token {token.content!r}")
    theirs.save(str(directory / TOKENIZERS_FILE), pretty=False)
    version = ".".join(tokenizers.__version__.split(".")[:2])
    return {"library": "tokenizers", "version": version}


# === SentencePiece ===


def _write_sentencepiece(directory: pathlib.Path, tokenizer, tokens, words: bool) -> dict:
    (data,) = tokenizer.assets().values()
    if tokenizer.avoid_number_commas:
        data = avoiding_number_commas(data, "the SentencePiece model")
    model = parse(data, "the SentencePiece model")
    if what := no_unigram(model):
        raise _no_encoder(f"a SentencePiece model {what}")
    own = model.SentencePiece.USER_DEFINED
    for token in tokens:
        if token.normalized or token.single_word:
            raise _no_encoder(f"the added token {token.content!r} with SentencePiece")
    (directory / MODEL_FILE).write_bytes(data)
    settings = tokenizer.settings()
    first = len(REPLACED)
    _, ids = arrange([piece.piece for piece in model.pieces], settings["layout"], MODEL_FILE)
    ids = ids or [*range(first + 1)]
    return {
        "library": "sentencepiece",
        "characters": _characters(tokenizer),
        "replaces_quotes": settings["replace_quotes"],
        "user_defined": [id for id, piece in enumerate(model.pieces) if piece.type == own],
        # The ids of the first pieces; each of the others is moved by the same number.
        "first_ids": ids[:first],
        "shift": ids[first] - first,
        "tokens": [
            {
                "content": token.content,
                "id": tokenizer.token_to_id(token.content),
                "lstrip": token.lstrip,
                "rstrip": token.rstrip,
            }
            for token in tokens
        ],
    }


def _characters(tokenizer: SentencePieceTokenizer) -> dict[str, str]:
    """Returns what each character becomes before the model's own normalization, if it changes."""
    found = {}
    for block in all_characters():
        prepared, _ = tokenizer._prepare(tf.constant(block))
        after = (text.decode() for text in prepared.numpy())
        found |= {one: text for one, text in zip(block, after, strict=True) if one != text}
    return found


_WRITERS = {
    WordPieceTokenizer.kind: _write_wordpiece,
    BytePairTokenizer.kind: _write_bytepair,
    SentencePieceTokenizer.kind: _write_sentencepiece,
}
