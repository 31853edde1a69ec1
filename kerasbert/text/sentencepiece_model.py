"""SentencePiece models as files: taken apart, put together, and their ids in the order of others.

Needs the `sentencepiece` package for the messages' types, and imports it where they are used.
"""

from collections.abc import Collection, Mapping, Sequence

from kerasbert.errors import InputError, shown

#: How a model's ids become the ids that checkpoints use.
LAYOUTS = ("model", "fairseq")

#: What models have at ids 0, 1 and 2 where fairseq put its own four tokens instead.
REPLACED = ("<unk>", "<s>", "</s>")
FAIRSEQ_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
FAIRSEQ_MASK = "<mask>"

# Of what is built of the pieces a part calls itself for every byte of the longest one; a million
# bytes are more than a thread's stack holds. SentencePiece trains pieces of 512 characters at most.
_LONGEST_PIECE = 10_000


def model_pieces(data: bytes, source: str) -> list[str]:
    """The pieces of a model, as `model_parts` gives them."""
    return pieces_of(parse(data, source), source)


def model_parts(data: bytes, source: str) -> dict:
    """The parts of a model, by the names of `sentencepiece_model`'s arguments.

    Needs the `sentencepiece` package.

    Args:
        data: the content of a model file.
        source: its name, for messages.

    Raises:
        InputError: it is no such model.
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
    """The pieces in the order of a layout, and for each of the model's ids the one it becomes.

    None in place of the ids: they stay as they are.

    Args:
        pieces: in the model's order.
        layout: one of `LAYOUTS`.
        source: what messages call the model.

    Raises:
        InputError: there is no such layout, or the pieces don't fit it.
    """
    if layout not in LAYOUTS:
        raise InputError(f"there is no layout {layout!r}; there are {', '.join(LAYOUTS)}")
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
    """The scores of pieces, 100 less where a piece ends in a digit and a comma.

    Nothing has so low a score, so that "9," is split in two wherever it can be. google-research's
    ALBERT takes such pieces apart after the model has found them, and its models were trained so;
    Hugging Face lowers the scores when it converts a model to `tokenizer.json`.
    """
    return {
        piece: score - 100.0 if piece.endswith(",") and piece[-2:-1].isdigit() else score
        for piece, score in scores.items()
    }


def avoiding_number_commas(data: bytes, source: str) -> bytes:
    """A model with the scores of `lower_number_commas`."""
    model = parse(data, source)
    scores = [piece.score for piece in model.pieces]
    lowered = lower_number_commas(dict(zip(pieces_of(model, source), scores, strict=True)))
    for piece in model.pieces:
        if piece.type == model.SentencePiece.NORMAL:
            piece.score = lowered[piece.piece]
    return model.SerializeToString()


def byte_model(charsmap: bytes) -> bytes:
    """A model that spells normalized text in its bytes, byte 0 with the id 1, and so on."""
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
    """Builds a SentencePiece unigram model of its parts, such as a `tokenizer.json` holds.

    Needs the `sentencepiece` package.

    Args:
        pieces: in the order of their ids.
        scores: one for each piece: log probabilities.
        unknown_id: the id of the piece that stands for what no other can spell.
        charsmap: the compiled rules by which the model normalizes; empty for none.
        control: the pieces that no text contains, such as the special tokens.
        user_defined: the pieces that are taken out of a text before all others, whatever their
            score.

    Returns:
        The content of a model file, for `SentencePieceTokenizer`.

    Raises:
        InputError: not as many scores as pieces, a piece that is there twice or is empty, or no
            piece with the id `unknown_id`.
    """
    from sentencepiece import sentencepiece_model_pb2 as protocol

    if len(pieces) != len(scores):
        raise InputError(f"expected one score for each of {len(pieces)} pieces, not {len(scores)}")
    if len(set(pieces)) != len(pieces) or "" in pieces:
        raise InputError("the pieces of a model must not be empty, nor there twice")
    if not 0 <= unknown_id < len(pieces):
        raise InputError(f"there are {len(pieces)} pieces, none with the unknown id {unknown_id}")
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


def parse(data: bytes, source: str):
    """The message in a model's bytes; raises `InputError` if there is none."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2 as protocol

    try:
        return protocol.ModelProto.FromString(data)
    except DecodeError:
        raise no_model(source) from None


def pieces_of(model, source: str) -> list[str]:
    """The pieces of a parsed model, once it is clear that they can be used."""
    pieces = [piece.piece for piece in model.pieces]
    for id, piece in enumerate(pieces):
        if not isinstance(piece, str):  # what is not UTF-8 is left as bytes
            raise InputError(f"{source}: the piece with the id {id} is not UTF-8: {shown(piece)}")
        if len(piece) > _LONGEST_PIECE // 4 and len(piece.encode()) > _LONGEST_PIECE:
            raise InputError(
                f"{source}: the piece with the id {id} has more than {_LONGEST_PIECE:,} bytes: "
                f"{shown(piece)}"
            )
    return pieces


def no_model(source: str) -> InputError:
    """The error to raise for what is no model."""
    return InputError(f"{source}: is not a SentencePiece model, or a damaged one")
