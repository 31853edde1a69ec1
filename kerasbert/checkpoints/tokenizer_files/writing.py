"""Writing of tokenizers as files for transformers."""

import base64
import dataclasses
import json
import pathlib
from collections.abc import Mapping

from kerasbert import files
from kerasbert.checkpoints.tokenizer_files.names import (
    FAST,
    GENERIC,
    MERGES,
    MORE_SPECIAL,
    PIECES,
    QUOTE_PATTERNS,
    ROLES,
    SETTINGS,
    SPECIAL,
    VOCABULARY,
)
from kerasbert.checkpoints.tokenizer_files.templates import templates
from kerasbert.errors import InputError
from kerasbert.text import (
    AddedToken,
    BytePairTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    WordPieceTokenizer,
)
from kerasbert.text.sentencepiece import SPACE_MARK
from kerasbert.text.sentencepiece_model import (
    USER_DEFINED_SCORE,
    lower_number_commas,
    model_parts,
    no_unigram,
    parse,
)


def save(directory: pathlib.Path, tokenizer: Tokenizer, max_length: int | None) -> None:
    """Writes the files of an equivalent tokenizer of transformers.

    Args:
        directory: path of the directory.
        tokenizer: `Tokenizer`.
        max_length: integer, the maximum number of tokens of the model, or None.

    Raises:
        InputError: transformers has no equivalent tokenizer.
    """
    if (tokenizer.kind, tokenizer.packing) not in _WRITTEN:
        raise InputError(
            f"transformers has no {tokenizer.kind} tokenizer with the packing {tokenizer.packing!r}"
        )
    if isinstance(tokenizer, SentencePieceTokenizer) and (what := _more_than_pieces(tokenizer)):
        raise InputError(
            f"transformers has no equivalent of a SentencePiece model {what}; save as 'kerasbert'"
        )
    name, assets = _WRITTEN[tokenizer.kind, tokenizer.packing]
    for theirs, data in zip(assets, tokenizer.assets().values(), strict=True):
        (directory / theirs).write_bytes(data)
    if isinstance(tokenizer, SentencePieceTokenizer):
        # With the model's file alone, transformers 5 would match pieces such as "(" before
        # tokenizing and insert a space after them, and would not avoid ALBERT's number commas.
        content = json.dumps(_sentencepiece_json(tokenizer), ensure_ascii=False)
        (directory / FAST).write_text(content, encoding="utf-8")
        if not _class_does(name, tokenizer):
            name = GENERIC[0]
    special = {theirs: getattr(tokenizer.special_tokens, ours) for ours, theirs in ROLES.items()}
    if tokenizer.packing == "roberta":
        special |= {"bos_token": special["cls_token"], "eos_token": special["sep_token"]}
    more = [token.content for token in tokenizer.added_tokens if token.special]
    more = {MORE_SPECIAL[0]: more} if more else {}
    mask = _special_token(tokenizer.special_tokens.mask, tokenizer)
    special_map = {**special, **more, "mask_token": dataclasses.asdict(mask)}
    files.write_json(directory / SPECIAL, special_map)
    config = {"tokenizer_class": name, "model_max_length": max_length or 512}
    if tokenizer.added_tokens:
        config["added_tokens_decoder"] = {
            str(id): dataclasses.asdict(token) for id, token in _added_tokens(tokenizer)
        }
    config |= {**_written_settings(tokenizer), **special, **more}
    files.write_json(directory / SETTINGS, config)


# The class of transformers and its names of our assets, by kind and packing.
_WRITTEN = {
    ("wordpiece", "bert"): ("BertTokenizer", (VOCABULARY,)),
    ("bytepair", "roberta"): ("RobertaTokenizer", (PIECES, MERGES)),
    ("sentencepiece", "bert"): ("AlbertTokenizer", ("spiece.model",)),
    ("sentencepiece", "roberta"): ("XLMRobertaTokenizer", ("sentencepiece.bpe.model",)),
}


def _class_does(name: str, tokenizer: Tokenizer) -> bool:
    """Returns whether the class of transformers, with its own steps, matches the tokenizer."""
    settings = tokenizer.settings()
    if name == "AlbertTokenizer":
        return settings["replace_quotes"]
    changes = ("lowercase", "strip_accents", "replace_quotes")
    return settings["layout"] == "fairseq" and not any(settings[key] for key in changes)


def _written_settings(tokenizer: Tokenizer) -> dict:
    settings = tokenizer.settings()
    if tokenizer.kind == WordPieceTokenizer.kind:
        return {
            "do_lower_case": settings["lowercase"],
            "strip_accents": settings["strip_accents"],
            "tokenize_chinese_chars": True,
        }
    if tokenizer.kind == BytePairTokenizer.kind:
        return {"add_prefix_space": settings["add_prefix_space"]}
    if tokenizer.packing == "roberta":
        return {}
    return {
        "do_lower_case": settings["lowercase"],
        "keep_accents": not settings["strip_accents"],
    }


def _added_tokens(tokenizer: Tokenizer) -> list[tuple[int, AddedToken]]:
    """Returns what transformers calls added tokens, with their ids, including special tokens."""
    special = {
        token: _special_token(token, tokenizer)
        for token in dataclasses.astuple(tokenizer.special_tokens)
    }
    tokens = {**special, **{token.content: token for token in tokenizer.added_tokens}}
    ids = {tokenizer.token_to_id(content): token for content, token in tokens.items()}
    return sorted(ids.items())


def _special_token(token: str, tokenizer: Tokenizer) -> AddedToken:
    takes_space = tokenizer.mask_takes_space and token == tokenizer.special_tokens.mask
    return AddedToken(token, special=True, lstrip=takes_space)


def _more_than_pieces(tokenizer: SentencePieceTokenizer) -> str | None:
    """Returns what a model has that a tokenizer.json can't express, or None."""
    (data,) = tokenizer.assets().values()
    model = parse(data, "the SentencePiece model")
    if what := no_unigram(model):
        return what
    rules = model.normalizer_spec
    usual = rules.add_dummy_prefix, rules.remove_extra_whitespaces, rules.escape_whitespaces
    if not all(usual) or model.trainer_spec.treat_whitespace_as_suffix:
        return "that treats spaces in an unusual way"
    kinds, own = model.SentencePiece, []
    for piece in model.pieces:
        if piece.type == kinds.UNUSED:
            return f"with the unused piece {piece.piece!r}"
        if piece.type != kinds.CONTROL and SPACE_MARK in piece.piece.lstrip(SPACE_MARK):
            return f"with the piece {piece.piece!r}, which contains a space"
        if piece.type == kinds.USER_DEFINED:
            own.append(piece.piece)
    for piece, normalized in zip(own, tokenizer._spell_normalized(own), strict=True):
        if normalized != piece:  # the library matches it before it normalizes a text
            return f"with the user's piece {piece!r}, which would be normalized to {normalized!r}"
    return None


def _sentencepiece_json(tokenizer: SentencePieceTokenizer) -> dict:
    """Returns the content of tokenizer.json."""
    (data,) = tokenizer.assets().values()
    parts = model_parts(data, "the SentencePiece model")
    scores = dict(zip(parts["pieces"], parts["scores"], strict=True))
    if tokenizer.avoid_number_commas:
        scores = lower_number_commas(scores)
    scores |= dict.fromkeys(parts["user_defined"], USER_DEFINED_SCORE)
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": id, **dataclasses.asdict(token)} for id, token in _added_tokens(tokenizer)
        ],
        "normalizer": _normalizer_json(tokenizer.settings(), parts["charsmap"]),
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace],
        },
        "post_processor": _template_json(tokenizer),
        "decoder": metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": tokenizer.unknown_id,
            "vocab": [[piece, scores.get(piece, 0.0)] for piece in tokenizer.model_tokens],
            "byte_fallback": False,
        },
    }


def _normalizer_json(settings: Mapping, charsmap: bytes) -> dict | None:
    steps = []
    if settings["replace_quotes"]:
        steps += [{"type": "Replace", "pattern": p, "content": '"'} for p in QUOTE_PATTERNS]
    if settings["strip_accents"]:
        steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
    if settings["lowercase"]:
        steps.append({"type": "Lowercase"})
    if charsmap:
        encoded = base64.b64encode(charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": encoded})
    if len(steps) < 2:
        return steps[0] if steps else None
    return {"type": "Sequence", "normalizers": steps}


def _template_json(tokenizer: Tokenizer) -> dict:
    """Returns the post-processor, which adds the special tokens."""
    cls, sep = tokenizer.special_tokens.cls, tokenizer.special_tokens.sep
    single, pair = templates(tokenizer.packing, cls, sep)
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": {
            name: {"id": name, "ids": [tokenizer.token_to_id(name)], "tokens": [name]}
            for name in (cls, sep)
        },
    }
