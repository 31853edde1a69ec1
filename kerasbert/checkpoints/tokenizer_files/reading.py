"""From the files of a directory to a tokenizer."""

import base64
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from kerasbert import files
from kerasbert.checkpoints.tokenizer_files.beside import Said, tokenizers_by_class
from kerasbert.checkpoints.tokenizer_files.fast import Fast, well_formed
from kerasbert.checkpoints.tokenizer_files.names import (
    FAST,
    MERGES,
    MODELS,
    PIECES,
    QUOTE_PATTERNS,
    SETTINGS,
    VOCABULARY,
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


def load(directory: pathlib.Path, defaults: Mapping) -> Tokenizer:
    """The tokenizer whose files are in a directory.

    Args:
        directory: a model directory of Hugging Face's or Google's.
        defaults: what the family's tokenizers have that no file says; `kind` at least.

    Raises:
        InputError: there are no such files, they ask for something else than kerasbert's
            tokenizers, contradict each other, or the vocabulary lacks a special token.
    """
    read, path = _reader(directory)
    if read is None:
        raise InputError(
            f"{directory}: has no tokenizer ({VOCABULARY}; {PIECES} and {MERGES}; {MODELS[0]} or "
            f"another *.model; {FAST})"
        )
    said = Said.read(directory)
    said.check()
    with about(directory):
        tokenizer = read(path, said, said.defaults(defaults))
    said.check_same_pieces(tokenizer.vocabulary)
    return tokenizer


def exist(directory: pathlib.Path) -> bool:
    """Whether a directory has files of a tokenizer."""
    return _reader(directory)[0] is not None


def _reader(directory: pathlib.Path):
    """What reads a directory's tokenizer, and the file that has its vocabulary."""
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
    pieces: Sequence[str], count: int, special: SpecialTokens, said: Said
) -> tuple[Sequence[str], list[AddedToken]]:
    """The pieces of the model, `count` or more, and the added tokens."""
    # The five special tokens may have been added; they belong to the model all the same.
    last = max(pieces.index(token) for token in dataclasses.astuple(special))
    return pieces[: max(count, last + 1)], said.added_tokens(special)


# === WordPiece ===


def _wordpiece(path: pathlib.Path, said: Said, defaults: Mapping) -> Tokenizer:
    files.check_file(path)
    # Which tokens are special, and may be among the added ones, is checked when all are known.
    pieces = vocabulary_pieces(path.read_bytes(), str(path))
    return _wordpiece_of({piece: id for id, piece in enumerate(pieces)}, path, said)


def _fast_wordpiece(said: Said, defaults: Mapping) -> Tokenizer:
    return _wordpiece_of(said.fast.ids(), said.fast.path, said)


def _wordpiece_of(ids: Mapping[str, int], source, said: Said) -> Tokenizer:
    pieces = said.pieces(ids, source)
    tokens = said.tokens(BERT_TOKENS, pieces, source)
    steps = said.fast.normalizer if said.fast else ()
    lowercase = said.setting("do_lower_case", steps, None, "lowercase")
    if lowercase is None:  # nobody says, but the vocabulary knows: a cased one has capitals
        words = {piece.removeprefix("##") for piece in pieces} - {*dataclasses.astuple(tokens)}
        lowercase = not any(word != word.lower() and word.isalpha() for word in words)
    strip_accents = said.setting("strip_accents", steps, None)
    model, added = _model_and_added(pieces, len(ids), tokens, said)
    with about(source):
        return WordPieceTokenizer(model, lowercase, strip_accents, tokens, added)


# === Byte-level BPE ===


def _bytepair(path: pathlib.Path, said: Said, defaults: Mapping) -> Tokenizer:
    merges = path.with_name(MERGES)
    files.check_file(merges)
    return _bytepair_of(files.read_json(path, dict[str, int]), merges, path, said)


def _fast_bytepair(said: Said, defaults: Mapping) -> Tokenizer:
    # A string with a space in it, or a pair, as the file's version has it.
    return _bytepair_of(said.fast.ids(), said.fast.model["merges"], said.fast.path, said)


def _bytepair_of(ids: Mapping[str, int], merges, source, said: Said) -> Tokenizer:
    if len(set(ids.values())) < len(ids):
        raise InputError(f"{source}: two pieces have the same id")
    pieces = said.pieces(ids, source)
    steps = said.fast.pre_tokenizer if said.fast else ()
    tokens = said.tokens(ROBERTA_TOKENS, pieces, source)
    model, added = _model_and_added(pieces, len(ids), tokens, said)
    return BytePairTokenizer(
        {piece: id for id, piece in enumerate(model)},
        merges,
        add_prefix_space=said.setting("add_prefix_space", steps, False),
        special_tokens=tokens,
        added_tokens=added,
    )


# === SentencePiece ===


def _sentencepiece(path: pathlib.Path, said: Said, defaults: Mapping) -> Tokenizer:
    files.check_file(path)
    settings = _sentencepiece_settings(said, defaults, path)
    data = path.read_bytes()
    if said.fast:
        parts = model_parts(data, str(path))
        if parts["pieces"] == list(said.fast.ids()):
            settings["layout"] = "model"
        settings |= _number_commas(parts, said.fast)
    return _sentencepiece_of(data, settings, path, said)


def _number_commas(parts: Mapping, fast: Fast) -> dict:
    """Whether tokenizer.json has the scores of the model beside it, or lower ones."""
    stored = dict(zip(parts["pieces"], parts["scores"], strict=True))
    lowered, found = lower_number_commas(stored), dict(fast.model["vocab"])
    piece = next((piece for piece in stored if lowered[piece] < stored[piece]), None)
    if piece is None:
        return {}
    middle = (stored[piece] + lowered[piece]) / 2
    return {"avoid_number_commas": found.get(piece, stored[piece]) < middle}


def _fast_sentencepiece(said: Said, defaults: Mapping) -> Tokenizer:
    path, model = said.fast.path, said.fast.model
    settings = {**_sentencepiece_settings(said, defaults, path), "avoid_number_commas": False}
    pieces, scores = ([pair[place] for pair in model["vocab"]] for place in (0, 1))
    unknown_id, count = model["unk_id"], len(FAIRSEQ_TOKENS)
    if (*pieces[:count], *pieces[-1:]) == (*FAIRSEQ_TOKENS, FAIRSEQ_MASK):
        # The model that fairseq had: one that can be written under its usual name again.
        pieces, scores = [*REPLACED, *pieces[count:-1]], [0.0] * len(REPLACED) + scores[count:-1]
        unknown_id = REPLACED.index(pieces[0])
        settings["layout"] = "fairseq"
    else:
        settings["layout"] = "model"
    special = {token.content for _, token in said.fast.added if token.special}
    special |= {token for token, _ in said.special.values()}
    step = said.fast.step("Precompiled")
    data = sentencepiece_model(
        pieces,
        scores,
        unknown_id=unknown_id,
        charsmap=base64.b64decode(step["precompiled_charsmap"], validate=True) if step else b"",
        control=special,
    )
    return _sentencepiece_of(data, settings, path, said)


def _sentencepiece_settings(said: Said, defaults: Mapping, source) -> dict:
    kind = SentencePieceTokenizer.kind
    if defaults["kind"] != kind:
        classes = [name for name, facts in tokenizers_by_class().items() if facts["kind"] == kind]
        raise InputError(
            f"{source}: is SentencePiece, but the family has {defaults['kind']}; no tokenizer_class"
            f" in {SETTINGS} says how to use it ({' or '.join(sorted(classes))})"
        )
    settings = {name: value for name, value in defaults.items() if name != "kind"}
    if said.fast:
        replaced = [step["pattern"] for step in said.fast.normalizer if step["type"] == "Replace"]
        settings["lowercase"] = said.fast.step("Lowercase") is not None
        settings["strip_accents"] = said.fast.step("StripAccents") is not None
        settings["replace_quotes"] = QUOTE_PATTERNS[0] in replaced
    # XLM-R's class does not look at these.
    if "lowercase" in defaults and not said.generic:
        if "do_lower_case" in said.settings:
            settings["lowercase"] = said.settings["do_lower_case"]
        if "keep_accents" in said.settings:
            settings["strip_accents"] = not said.settings["keep_accents"]
    return settings


def _sentencepiece_of(data: bytes, settings: Mapping, source, said: Said) -> Tokenizer:
    usual = USUAL_TOKENS[SentencePieceTokenizer.kind, settings.get("packing", "bert")]
    stored = model_pieces(data, str(source))
    pieces, _ = arrange(stored, settings.get("layout", "model"), str(source))
    with_added = said.pieces({piece: id for id, piece in enumerate(pieces)}, source)
    tokens = said.tokens(usual, with_added, source)
    added = said.added_tokens(tokens)
    if added and said.generic:
        # Else transformers makes the steps itself, and splits at white space first.
        found = [step["type"] for step in said.fast.pre_tokenizer]
        if found != ["WhitespaceSplit", "Metaspace"]:
            raise InputError(
                f"{said.fast.path}: has the added token {added[0].content!r} and "
                f"pre_tokenizer={found!r}, which puts spaces beside it; only WhitespaceSplit and "
                "Metaspace are supported with added tokens"
            )
    with about(source):
        return SentencePieceTokenizer(data, special_tokens=tokens, added_tokens=added, **settings)


# === Everything in tokenizer.json ===


def _fast(path: pathlib.Path, said: Said, defaults: Mapping) -> Tokenizer:
    read = {"WordPiece": _fast_wordpiece, "BPE": _fast_bytepair, "Unigram": _fast_sentencepiece}
    with well_formed(path):
        return read[said.fast.kind](said, defaults)
