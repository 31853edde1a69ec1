"""Loading of tokenizers from the files of a directory."""

import base64
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from kerasbert import files
from kerasbert.checkpoints.tokenizer_files.fast import FastTokenizerFile, well_formed
from kerasbert.checkpoints.tokenizer_files.names import (
    FAST,
    MERGES,
    MODELS,
    PIECES,
    QUOTE_PATTERNS,
    SETTINGS,
    VOCABULARY,
)
from kerasbert.checkpoints.tokenizer_files.tokenizer_config import (
    TokenizerConfig,
    tokenizers_by_class,
)
from kerasbert.errors import InputError, about
from kerasbert.text import (
    AddedToken,
    BytePairTokenizer,
    SentencePieceTokenizer,
    SpecialTokens,
    Tokenizer,
    WordPieceTokenizer,
)
from kerasbert.text.sentencepiece_model import (
    FAIRSEQ_MASK,
    FAIRSEQ_TOKENS,
    REPLACED,
    arrange,
    lower_number_commas,
    model_parts,
    model_pieces,
    sentencepiece_model,
)
from kerasbert.text.special_tokens import BERT_TOKENS, ROBERTA_TOKENS, USUAL_TOKENS
from kerasbert.text.vocabulary import vocabulary_pieces


def load(directory: pathlib.Path, defaults: Mapping[str, Any]) -> Tokenizer:
    """Loads the tokenizer of a directory.

    Args:
        directory: path of a model directory in the format of Hugging Face or Google.
        defaults: dict of the family's tokenizer settings that no file stores, with at least `kind`.

    Raises:
        InputError: there are no tokenizer files, they contradict each other, a setting is not
            supported, or the vocabulary lacks a special token.
    """
    read, path = _reader(directory)
    if read is None:
        raise InputError(
            f"{directory}: has no tokenizer ({VOCABULARY}; {PIECES} and {MERGES}; {MODELS[0]} or "
            f"another *.model; {FAST})"
        )
    config = TokenizerConfig.read(directory)
    config.check()
    with about(directory):
        tokenizer = read(path, config, config.defaults(defaults))
    config.check_same_pieces(tokenizer.vocabulary)
    return tokenizer


def exist(directory: pathlib.Path) -> bool:
    """Returns whether a directory has tokenizer files."""
    return _reader(directory)[0] is not None


def _reader(directory: pathlib.Path):
    """Returns the function that reads a directory's tokenizer, and the path of the vocabulary."""
    if (path := directory / VOCABULARY).exists():
        return _wordpiece, path
    if (path := directory / PIECES).exists() and (directory / MERGES).exists():
        return _bytepair, path
    if path := _model_path(directory):
        return _sentencepiece, path
    path = directory / FAST
    return (_fast if path.exists() else None), path


def _model_path(directory: pathlib.Path) -> pathlib.Path | None:
    for name in MODELS:
        if (directory / name).exists():
            return directory / name
    return next(iter(sorted(directory.glob("*.model"))), None)


def _model_and_added(
    pieces: Sequence[str], count: int, special: SpecialTokens, config: TokenizerConfig
) -> tuple[Sequence[str], list[AddedToken]]:
    """Returns the tokens of the model, at least `count`, and the added tokens."""
    # The five special tokens can be added tokens in the files, but they belong to the model.
    last = max(pieces.index(token) for token in dataclasses.astuple(special))
    return pieces[: max(count, last + 1)], config.added_tokens(special)


# === WordPiece ===


def _wordpiece(path: pathlib.Path, config: TokenizerConfig, defaults: Mapping) -> Tokenizer:
    # Special tokens can be added tokens, so they are checked when all tokens are known.
    pieces = vocabulary_pieces(files.read_bytes(path), str(path))
    return _wordpiece_of({piece: id for id, piece in enumerate(pieces)}, path, config)


def _fast_wordpiece(
    fast: FastTokenizerFile, config: TokenizerConfig, defaults: Mapping
) -> Tokenizer:
    return _wordpiece_of(fast.ids(), fast.path, config)


def _wordpiece_of(ids: Mapping[str, int], source, config: TokenizerConfig) -> Tokenizer:
    pieces = config.pieces(ids, source)
    tokens = config.tokens(BERT_TOKENS, pieces, source)
    steps = config.fast.normalizer if config.fast else ()
    lowercase = config.setting("do_lower_case", steps, None, "lowercase")
    if lowercase is None:  # not stored; a cased vocabulary contains capitals
        words = {piece.removeprefix("##") for piece in pieces} - {*dataclasses.astuple(tokens)}
        lowercase = not any(word != word.lower() and word.isalpha() for word in words)
    strip_accents = config.setting("strip_accents", steps, None)
    config.packing(tokens, "bert", known=("bert",))
    model, added = _model_and_added(pieces, len(ids), tokens, config)
    with about(source):
        return WordPieceTokenizer(model, lowercase, strip_accents, tokens, added)


# === Byte-level BPE ===


def _bytepair(path: pathlib.Path, config: TokenizerConfig, defaults: Mapping) -> Tokenizer:
    merges = path.with_name(MERGES)
    return _bytepair_of(files.read_json(path, dict[str, int]), merges, path, config)


def _fast_bytepair(
    fast: FastTokenizerFile, config: TokenizerConfig, defaults: Mapping
) -> Tokenizer:
    # A merge is a string with a space or a pair, depending on the file's version.
    return _bytepair_of(fast.ids(), fast.model["merges"], fast.path, config)


def _bytepair_of(ids: Mapping[str, int], merges, source, config: TokenizerConfig) -> Tokenizer:
    if len(set(ids.values())) < len(ids):
        raise InputError(f"{source}: two tokens have the same id")
    pieces = config.pieces(ids, source)
    steps = config.fast.pre_tokenizer if config.fast else ()
    tokens = config.tokens(ROBERTA_TOKENS, pieces, source)
    model, added = _model_and_added(pieces, len(ids), tokens, config)
    return BytePairTokenizer(
        {piece: id for id, piece in enumerate(model)},
        merges,
        add_prefix_space=config.setting("add_prefix_space", steps, False),
        special_tokens=tokens,
        packing=config.packing(tokens, "roberta"),
        mask_takes_space=config.take_space.get(tokens.mask, True),
        added_tokens=added,
    )


# === SentencePiece ===


def _sentencepiece(path: pathlib.Path, config: TokenizerConfig, defaults: Mapping) -> Tokenizer:
    data = files.read_bytes(path)
    settings = _sentencepiece_settings(config, defaults, path)
    if config.fast:
        parts = model_parts(data, str(path))
        if parts["pieces"] == list(config.fast.ids()):
            settings["layout"] = "model"
        settings |= _number_commas(parts, config.fast)
    return _sentencepiece_of(data, settings, path, config)


def _number_commas(parts: Mapping, fast: FastTokenizerFile) -> dict:
    """Returns whether tokenizer.json has lower scores for number commas than the model's file."""
    stored = dict(zip(parts["pieces"], parts["scores"], strict=True))
    lowered, file_scores = lower_number_commas(stored), dict(fast.model["vocab"])
    piece = next((piece for piece in stored if lowered[piece] < stored[piece]), None)
    if piece is None:
        return {}
    middle = (stored[piece] + lowered[piece]) / 2
    return {"avoid_number_commas": file_scores.get(piece, stored[piece]) < middle}


def _fast_sentencepiece(
    fast: FastTokenizerFile, config: TokenizerConfig, defaults: Mapping
) -> Tokenizer:
    path, model = fast.path, fast.model
    settings = {**_sentencepiece_settings(config, defaults, path), "avoid_number_commas": False}
    pieces, scores = ([pair[position] for pair in model["vocab"]] for position in (0, 1))
    unknown_id, count = model["unk_id"], len(FAIRSEQ_TOKENS)
    if (*pieces[:count], *pieces[-1:]) == (*FAIRSEQ_TOKENS, FAIRSEQ_MASK):
        # Restores the model of fairseq, which can be saved under its usual name.
        pieces, scores = [*REPLACED, *pieces[count:-1]], [0.0] * len(REPLACED) + scores[count:-1]
        unknown_id = REPLACED.index(pieces[0])
        settings["layout"] = "fairseq"
    else:
        settings["layout"] = "model"
    special = {token.content for _, token in fast.added if token.special}
    special |= {token for token, _ in config.special.values()}
    step = fast.step("Precompiled")
    data = sentencepiece_model(
        pieces,
        scores,
        unknown_id=unknown_id,
        charsmap=base64.b64decode(step["precompiled_charsmap"], validate=True) if step else b"",
        control=special,
    )
    return _sentencepiece_of(data, settings, path, config)


def _sentencepiece_settings(config: TokenizerConfig, defaults: Mapping, source) -> dict:
    kind = SentencePieceTokenizer.kind
    if defaults["kind"] != kind:
        classes = [
            name for name, settings in tokenizers_by_class().items() if settings["kind"] == kind
        ]
        raise InputError(
            f"{source}: is SentencePiece, but the family's tokenizers are {defaults['kind']}; set "
            f"tokenizer_class in {SETTINGS} ({' or '.join(sorted(classes))})"
        )
    settings = {name: value for name, value in defaults.items() if name != "kind"}
    if config.fast:
        replaced = [step["pattern"] for step in config.fast.normalizer if step["type"] == "Replace"]
        settings["lowercase"] = config.fast.step("Lowercase") is not None
        settings["strip_accents"] = config.fast.step("StripAccents") is not None
        settings["replace_quotes"] = QUOTE_PATTERNS[0] in replaced
    # XLM-R's class ignores these settings.
    if "lowercase" in defaults and not config.generic:
        if "do_lower_case" in config.settings:
            settings["lowercase"] = config.settings["do_lower_case"]
        if "keep_accents" in config.settings:
            settings["strip_accents"] = not config.settings["keep_accents"]
    return settings


def _sentencepiece_of(data: bytes, settings: Mapping, source, config: TokenizerConfig) -> Tokenizer:
    packing = settings.get("packing", "bert")
    usual = USUAL_TOKENS[SentencePieceTokenizer.kind, packing]
    stored = model_pieces(data, str(source))
    pieces, _ = arrange(stored, settings.get("layout", "model"), str(source))
    with_added = config.pieces({piece: id for id, piece in enumerate(pieces)}, source)
    tokens = config.tokens(usual, with_added, source)
    added = config.added_tokens(tokens)
    if added and config.fast and config.generic:
        # Otherwise, transformers makes the steps itself, and splits at white space first.
        types = [step["type"] for step in config.fast.pre_tokenizer]
        if types != ["WhitespaceSplit", "Metaspace"]:
            raise InputError(
                f"{config.fast.path}: has the added token {added[0].content!r} and "
                f"pre_tokenizer={types!r}, which adds spaces next to it; only WhitespaceSplit and "
                "Metaspace are supported with added tokens"
            )
    arguments: dict[str, Any] = {
        **settings,
        "packing": config.packing(tokens, packing),
        "mask_takes_space": config.take_space.get(tokens.mask, True),
    }
    with about(source):
        return SentencePieceTokenizer(data, special_tokens=tokens, added_tokens=added, **arguments)


# === Everything in tokenizer.json ===


def _fast(path: pathlib.Path, config: TokenizerConfig, defaults: Mapping) -> Tokenizer:
    read = {"WordPiece": _fast_wordpiece, "BPE": _fast_bytepair, "Unigram": _fast_sentencepiece}
    fast = config.fast
    assert fast is not None  # `path` is its file
    with well_formed(path):
        return read[fast.kind](fast, config, defaults)
