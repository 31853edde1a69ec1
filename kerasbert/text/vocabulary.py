"""WordPiece vocabularies: train, load, check.

A vocabulary is a UTF-8 text file with one piece a line; a piece's id is its line number, from 0.
Pieces that continue a word start with `##`.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterable, Sequence

from kerasbert.errors import InputError
from kerasbert.text.tokenizer import BERT_TOKENS, SpecialTokens

_SPECIAL = dataclasses.astuple(BERT_TOKENS)


def load_vocabulary(
    path: str | os.PathLike, special_tokens: SpecialTokens = BERT_TOKENS
) -> list[str]:
    """Reads a vocabulary file and checks it.

    Args:
        path: the file.
        special_tokens: must be in it.

    Returns:
        The pieces in the order of their ids.

    Raises:
        InputError: the file is missing, not UTF-8, starts with a byte order mark, has CRLF line
            ends, empty lines or duplicates, or lacks one of the special tokens; the message names
            the file and the line.
    """
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't read the vocabulary: {error.strerror}") from None
    return parse_vocabulary(data, str(path), special_tokens)


def parse_vocabulary(
    data: bytes, source: str, special_tokens: SpecialTokens = BERT_TOKENS
) -> list[str]:
    """As `load_vocabulary`, of a file's content; `source` names it in messages."""
    if data.startswith(b"\xef\xbb\xbf"):
        raise InputError(f"{source}: starts with a byte order mark; save it as UTF-8 without BOM")
    if (at := data.find(b"\r\n")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise InputError(f"{source}:{line}: has Windows line ends (CRLF); convert it to LF")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{source}:{line}: is not UTF-8") from None
    # Not splitlines(): a piece may well be U+2028 or another of Python's line ends.
    vocabulary = text.removesuffix("\n").split("\n")
    check_vocabulary(vocabulary, source, special_tokens)
    return vocabulary


def check_vocabulary(
    vocabulary: Sequence[str],
    source: str = "vocabulary",
    special_tokens: SpecialTokens = BERT_TOKENS,
) -> None:
    """Raises `InputError`, naming `source` and the line, for what makes a vocabulary unusable."""
    lines: dict[str, int] = {}
    for line, piece in enumerate(vocabulary, start=1):
        if not piece:
            raise InputError(f"{source}:{line}: empty line; every line must hold a piece")
        if piece in lines:
            raise InputError(f"{source}:{line}: {piece!r} stands already in line {lines[piece]}")
        lines[piece] = line
    for token in dataclasses.astuple(special_tokens):
        if token in lines:
            continue
        other_case = next((piece for piece in lines if piece.upper() == token.upper()), None)
        found = f"; line {lines[other_case]} has it as {other_case!r}" if other_case else ""
        raise InputError(f"{source}: lacks the special token {token}{found}")


def save_vocabulary(vocabulary: Sequence[str], path: str | os.PathLike) -> None:
    """Checks `vocabulary` and writes it, atomically."""
    check_vocabulary(vocabulary)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(vocabulary_bytes(vocabulary))
    os.replace(temporary, path)


def vocabulary_bytes(vocabulary: Sequence[str]) -> bytes:
    """The exact content of a vocabulary's file."""
    return "".join(piece + "\n" for piece in vocabulary).encode("utf-8")


def vocabulary_sha256(vocabulary: Sequence[str]) -> str:
    """SHA-256 (hex) of a vocabulary as `save_vocabulary` writes it: its identity everywhere."""
    return hashlib.sha256(vocabulary_bytes(vocabulary)).hexdigest()


def train_vocabulary(
    texts: Iterable[str],
    vocabulary_size: int,
    *,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    min_frequency: int = 2,
    alphabet_size: int | None = None,
) -> list[str]:
    """Trains a WordPiece vocabulary with Hugging Face `tokenizers`.

    The trainer breaks ties between equally frequent pairs by the order of a hash table, so two
    runs on the same text may differ in their rarest pieces.

    Args:
        texts: strings, read once.
        vocabulary_size: how many pieces at the most, the five special tokens included.
        lowercase: train on lower-cased text, for a tokenizer that lower-cases.
        strip_accents: as in `WordPieceTokenizer`; None does as `lowercase` says.
        min_frequency: how often a pair of pieces must be seen to be joined.
        alphabet_size: how many different characters are kept, the most frequent ones; None: a
            quarter of the vocabulary.

    Returns:
        The pieces, the special tokens first ([PAD] is 0).

    Raises:
        InputError: no text, or a size that does not hold the special tokens and an alphabet.
    """
    from tokenizers import BertWordPieceTokenizer

    if vocabulary_size < 2 * len(_SPECIAL):
        raise InputError(f"a vocabulary of {vocabulary_size} pieces is too small to be of use")
    trainer = BertWordPieceTokenizer(lowercase=lowercase, strip_accents=strip_accents)
    trainer.train_from_iterator(
        texts,
        vocab_size=vocabulary_size,
        min_frequency=min_frequency,
        limit_alphabet=alphabet_size or vocabulary_size // 4,
        special_tokens=list(_SPECIAL),
        show_progress=False,
    )
    pieces = trainer.get_vocab()
    if len(pieces) <= len(_SPECIAL):
        raise InputError("there is no text to train a vocabulary on")
    return sorted(pieces, key=pieces.get)
