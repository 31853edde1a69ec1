"""SentencePiece model files: parsing, building, and the order of ids in checkpoints.

The functions need the `sentencepiece` package for its message types, and import it on use.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kerasbert.errors import InputError, shown

#: The layouts: how a model's ids correspond to the ids of a checkpoint.
LAYOUTS = ("model", "fairseq")

#: The pieces at ids 0, 1 and 2 of a model, which fairseq replaces by its own four tokens.
REPLACED = ("<unk>", "<s>", "</s>")
FAIRSEQ_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
FAIRSEQ_MASK = "<mask>"

# The library recurses once for each byte of the longest piece, and a million bytes overflow the
# stack of a thread. SentencePiece trains pieces of at most 512 characters.
_LONGEST_PIECE = 10_000

#: The score of a user-defined piece in the library, whatever the model has, if none is positive.
USER_DEFINED_SCORE = -0.1


def model_pieces(data: bytes, source: str) -> list[str]:
    """Returns the pieces of a model, as in `model_parts`."""
    return pieces_of(parse(data, source), source)


def model_parts(data: bytes, source: str) -> dict[str, Any]:
    """Returns the parts of a model, as a dict of arguments for `sentencepiece_model`.

    It needs the `sentencepiece` package.

    Args:
        data: bytes, the content of a model file.
        source: string, the name of the file in messages.

    Raises:
        InputError: the data is not a SentencePiece model.
    """
    model = parse(data, source)
    types = model.SentencePiece
    return {
        "pieces": pieces_of(model, source),
        "scores": [piece.score for piece in model.pieces],
        "unknown_id": model.trainer_spec.unk_id,
        "charsmap": model.normalizer_spec.precompiled_charsmap,
        "control": [piece.piece for piece in model.pieces if piece.type == types.CONTROL],
        "user_defined": [piece.piece for piece in model.pieces if piece.type == types.USER_DEFINED],
    }


def arrange(
    pieces: Sequence[str], layout: str, source: str
) -> tuple[Sequence[str], list[int] | None]:
    """Returns the pieces in the order of a layout, and the new id of each of the model's ids.

    The ids are None if they do not change.

    Args:
        pieces: list of strings, in the model's order.
        layout: one of `LAYOUTS`.
        source: string, the name of the model in messages.

    Raises:
        InputError: the layout is unknown, or the pieces do not fit it.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout must be one of {', '.join(LAYOUTS)}, found {layout!r}")
    if layout == "model":
        return pieces, None
    count = len(REPLACED)
    if tuple(pieces[:count]) != REPLACED:
        raise InputError(
            f"{source}: layout 'fairseq' needs a model that starts with {' '.join(REPLACED)}, "
            f"found {' '.join(pieces[:count])}"
        )
    ids = [FAIRSEQ_TOKENS.index(piece) for piece in REPLACED]
    shift = len(FAIRSEQ_TOKENS) - count
    ids += range(count + shift, len(pieces) + shift)
    return [*FAIRSEQ_TOKENS, *pieces[count:], FAIRSEQ_MASK], ids


def lower_number_commas(scores: Mapping[str, float]) -> dict[str, float]:
    """Lowers the scores of pieces that end in a digit and a comma by 100.

    No other piece has such a low score, so that "9," is split in two wherever possible. ALBERT of
    google-research splits these pieces after tokenization, and its models were trained that way.
    Hugging Face lowers the scores when it converts a model to `tokenizer.json`.

    Args:
        scores: dict of pieces and their scores.
    """
    return {
        piece: score - 100.0 if piece.endswith(",") and piece[-2:-1].isdigit() else score
        for piece, score in scores.items()
    }


def avoiding_number_commas(data: bytes, source: str) -> bytes:
    """Returns the model with the scores of `lower_number_commas`, as bytes."""
    model = parse(data, source)
    scores = [piece.score for piece in model.pieces]
    lowered = lower_number_commas(dict(zip(pieces_of(model, source), scores, strict=True)))
    for piece in model.pieces:
        if piece.type == model.SentencePiece.NORMAL:
            piece.score = lowered[piece.piece]
    return model.SerializeToString()


def byte_model(charsmap: bytes) -> bytes:
    """Returns a model that normalizes a text and splits it into bytes; byte 0 has the id 1."""
    from sentencepiece import sentencepiece_model_pb2 as protocol

    model = protocol.ModelProto()
    types = protocol.ModelProto.SentencePiece
    model.pieces.add(piece="<unk>", type=types.UNKNOWN)
    for byte in range(256):
        model.pieces.add(piece=f"<0x{byte:02X}>", type=types.BYTE)
    model.trainer_spec.model_type = protocol.TrainerSpec.CHAR
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.vocab_size = len(model.pieces)
    model.normalizer_spec.precompiled_charsmap = charsmap
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    model.normalizer_spec.escape_whitespaces = False
    return model.SerializeToString()


def sentencepiece_model(
    pieces: Sequence[str],
    scores: Sequence[float],
    *,
    unknown_id: int,
    charsmap: bytes = b"",
    control: Collection[str] = (),
    user_defined: Collection[str] = (),
) -> bytes:
    """Builds a SentencePiece unigram model from its parts, such as those of a `tokenizer.json`.

    It needs the `sentencepiece` package.

    Args:
        pieces: list of strings, in the order of their ids.
        scores: list of floats, the log probability of each piece.
        unknown_id: integer, the id of the piece for text that no other piece can represent.
        charsmap: bytes, the compiled normalization rules; empty for none.
        control: collection of the pieces that never match text, such as special tokens.
        user_defined: collection of the pieces that match before all others, whatever their scores.

    Returns:
        The content of a model file, for `SentencePieceTokenizer`.

    Raises:
        InputError: the numbers of scores and pieces differ, a piece is empty or occurs twice, or no
            piece has the id `unknown_id`.
    """
    from sentencepiece import sentencepiece_model_pb2 as protocol

    if len(pieces) != len(scores):
        raise InputError(f"expected a score for each of {len(pieces)} pieces, found {len(scores)}")
    if len(set(pieces)) != len(pieces) or "" in pieces:
        raise InputError("the pieces of a model must not be empty or occur twice")
    if not 0 <= unknown_id < len(pieces):
        raise InputError(
            f"the unknown id {unknown_id} is not one of the ids of {len(pieces)} pieces"
        )
    types = protocol.ModelProto.SentencePiece
    control, user_defined = frozenset(control), frozenset(user_defined)
    model = protocol.ModelProto()
    for id, (piece, score) in enumerate(zip(pieces, scores, strict=True)):
        kind = types.NORMAL
        if id == unknown_id:
            kind = types.UNKNOWN
        elif piece in control:
            kind = types.CONTROL
        elif piece in user_defined:
            kind = types.USER_DEFINED
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = protocol.TrainerSpec.UNIGRAM
    model.trainer_spec.vocab_size = len(pieces)
    model.trainer_spec.unk_id = unknown_id
    model.trainer_spec.unk_piece = pieces[unknown_id]
    model.normalizer_spec.precompiled_charsmap = charsmap
    return model.SerializeToString()


def parse(data: bytes, source: str) -> Any:
    """Parses a model's bytes; raises `InputError` if they are not a SentencePiece model."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2 as protocol

    try:
        return protocol.ModelProto.FromString(data)
    except DecodeError:
        raise no_model(source) from None


def no_unigram(model: Any) -> str | None:
    """Returns what a parsed model has besides the pieces and scores of a unigram model, or None."""
    kinds, trainer = model.SentencePiece, model.trainer_spec
    if trainer.model_type != trainer.UNIGRAM:
        return "that is no unigram model"
    if trainer.byte_fallback:
        return "with bytes for unknown characters"
    # The library takes the best score for pieces of the user; it is 0 if there is no better one.
    best = max((piece.score for piece in model.pieces if piece.type == kinds.NORMAL), default=0.0)
    if best > 0 and any(piece.type == kinds.USER_DEFINED for piece in model.pieces):
        return "with positive scores"
    return None


def pieces_of(model: Any, source: str) -> list[str]:
    """Returns the pieces of a parsed model; raises `InputError` if they cannot be used."""
    pieces = [piece.piece for piece in model.pieces]
    for id, piece in enumerate(pieces):
        if not isinstance(piece, str):  # protobuf returns invalid UTF-8 as bytes
            raise InputError(f"{source}: the piece with the id {id} is not UTF-8: {shown(piece)}")
        if len(piece) > _LONGEST_PIECE // 4 and len(piece.encode()) > _LONGEST_PIECE:
            raise InputError(
                f"{source}: the piece with the id {id} has more than {_LONGEST_PIECE:,} bytes: "
                f"{shown(piece)}"
            )
    return pieces


def no_model(source: str) -> InputError:
    """Returns the error for data that is not a SentencePiece model."""
    return InputError(f"{source}: is not a SentencePiece model, or a damaged one")
