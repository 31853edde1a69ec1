"""WordPiece vocabularies: train, load, check.

A vocabulary is a UTF-8 text file with one piece a line; a piece's id is its line number, from 0.
Pieces that continue a word start with `##`.

Some published vocabularies have lines without a piece, or with one that another line has, too
(ERNIE 3.0's). Of equal lines the last counts, as in BERT's own tokenizer; in the place of the
others stands what no text has, so that every id stays what it is.
"""

import collections
import dataclasses
import hashlib
import itertools
import os
import pathlib
import re
import sys
import warnings
from collections.abc import Iterable, Sequence

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.text.special_tokens import BERT_TOKENS, SpecialTokens

_SPECIAL = dataclasses.astuple(BERT_TOKENS)
#: A piece of the Chinese BERT, and what stands for a line without a piece. No text ever has it.
LINE_SEPARATOR = "\u2028"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def unused_token(id: int) -> str:
    """What stands for an id that no piece has; a text never has it, as it is no word."""
    return f"[no piece {id}]"


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
        InputError: the file is missing, not UTF-8, or lacks one of the special tokens; the message
            names the file and the line.
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
    vocabulary = vocabulary_pieces(data, source)
    check_vocabulary(vocabulary, source, special_tokens)
    return vocabulary


def vocabulary_pieces(data: bytes, source: str) -> list[str]:
    """The pieces of a vocabulary file's content, all different, by their ids.

    Warns of lines that don't count. A byte order mark, Windows line ends and empty lines at the end
    are no part of it.

    Raises:
        InputError: it is not UTF-8, or has a NUL.
    """
    data = data.removeprefix(_BYTE_ORDER_MARK)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{source}:{line}: is not UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{source}:{line}: has the character NUL; the file is damaged or no text")
    # Not splitlines(): a piece may well be U+2028 or another of Python's line ends.
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    last = {token: id for id, token in enumerate(lines)}
    kept = [token if last[token] == id else unused_token(id) for id, token in enumerate(lines)]
    if "" in last and len(lines) > 1:
        blank = last[""]
        kept[blank] = unused_token(blank) if LINE_SEPARATOR in last else LINE_SEPARATOR
    changed = [id for id, token in enumerate(lines) if kept[id] != token]
    if changed:
        line = changed[0] + 1
        why = f"line {line} is empty"
        if lines[line - 1]:
            why = f"line {line} has {lines[line - 1]!r}, as has line {last[lines[line - 1]] + 1}"
        warnings.warn(
            f"{source}: {len(changed)} lines don't count, the first because {why}; of equal lines "
            "the last counts, and every id stays",
            stacklevel=2,
        )
    return kept


def check_vocabulary(
    vocabulary: Sequence[str],
    source: str = "vocabulary",
    special_tokens: SpecialTokens = BERT_TOKENS,
) -> None:
    """Raises `InputError`, naming `source` and the line, for what makes a vocabulary unusable."""
    lines: dict[str, int] = {}
    for line, token in enumerate(vocabulary, start=1):
        if not token:
            raise InputError(f"{source}:{line}: empty line; every line must hold a piece")
        if token in lines:
            raise InputError(f"{source}:{line}: {token!r} stands already in line {lines[token]}")
        lines[token] = line
    for token in dataclasses.astuple(special_tokens):
        if token in lines:
            continue
        other_case = next((entry for entry in lines if entry.upper() == token.upper()), None)
        hint = f"; line {lines[other_case]} has it as {other_case!r}" if other_case else ""
        raise InputError(f"{source}: lacks the special token {token}{hint}")


def save_vocabulary(vocabulary: Sequence[str], path: str | os.PathLike) -> None:
    """Checks `vocabulary` and writes it, atomically."""
    check_vocabulary(vocabulary)
    path = pathlib.Path(path)
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with files.new_file(path) as temporary:
        temporary.write_bytes(vocabulary_bytes(vocabulary))


def vocabulary_bytes(vocabulary: Sequence[str]) -> bytes:
    """The exact content of a vocabulary's file.

    Raises:
        InputError: a piece that no line of a file can hold.
    """
    for id, token in enumerate(vocabulary):
        if "\n" in token or "\0" in token or token.endswith("\r"):
            raise InputError(f"{token!r}, the piece with the id {id}, can't be a line of vocab.txt")
    return "".join(token + "\n" for token in vocabulary).encode("utf-8")


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

    A word with a character that has no piece is [UNK] as a whole, so characters come first: the
    most frequent ones that make up 99.99 % of the text, as long as they leave a quarter of the
    vocabulary to longer pieces. If the text has too few of those, other characters get the rest.

    The trainer breaks ties between equally frequent pairs by the order of a hash table, so two
    runs on the same text may differ in their rarest pieces.

    Args:
        texts: strings, read once.
        vocabulary_size: how many pieces at the most, the five special tokens included.
        lowercase: train on lower-cased text, for a tokenizer that lower-cases.
        strip_accents: as in `WordPieceTokenizer`; None does as `lowercase` says.
        min_frequency: how often a pair of pieces must be seen to be joined.
        alphabet_size: how many different characters are kept, the most frequent ones; None: as
            described above.

    Returns:
        The pieces, the special tokens first ([PAD] is 0).

    Raises:
        InputError: no text; a size that no vocabulary has; without `alphabet_size`, one that has
            no place for a tenth of the text's characters.
    """
    from tokenizers import BertWordPieceTokenizer

    if not 2 * len(_SPECIAL) <= vocabulary_size <= _LARGEST:
        raise InputError(
            f"a vocabulary must have {2 * len(_SPECIAL)} to {_LARGEST:,} pieces, "
            f"found {vocabulary_size:,}"
        )
    if alphabet_size is not None and not 1 <= alphabet_size <= vocabulary_size - len(_SPECIAL):
        raise InputError(
            f"an alphabet of {alphabet_size:,} characters does not fit a vocabulary of "
            f"{vocabulary_size:,} pieces, {len(_SPECIAL)} of which are special tokens"
        )
    counts: collections.Counter[str] = collections.Counter()

    def counted():
        for text in texts:
            counts.update(text)
            yield _without_long_words(text)

    trainer = BertWordPieceTokenizer(lowercase=lowercase, strip_accents=strip_accents)
    trainer.train_from_iterator(
        counted(),
        # Which characters are rare is known only now, so there are pieces to spare.
        vocab_size=vocabulary_size + _SPARE,
        min_frequency=min_frequency,
        limit_alphabet=sys.maxunicode,
        special_tokens=list(_SPECIAL),
        show_progress=False,
    )
    ids = trainer.get_vocab()
    if len(ids) <= len(_SPECIAL):
        raise InputError("there is no text to train a vocabulary on")
    subwords = sorted(ids.keys() - set(_SPECIAL), key=ids.get)
    frequencies: collections.Counter[str] = collections.Counter()
    for character, count in counts.items():
        for normalized in trainer.normalize(character).replace(" ", ""):
            frequencies[normalized] += count
    room = vocabulary_size - len(_SPECIAL)
    return [*_SPECIAL, *_chosen(subwords, frequencies, room, alphabet_size)]


# WordPiece makes [UNK] of a longer word, so nothing is learnt from it, and the trainer would take
# minutes for one of a megabyte. Chinese characters are words of their own.
_LONG = re.compile(r"\S{101}")
_LONG_WORD = re.compile(r"(?:(?![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f])\w){101,}")


def _without_long_words(text: str) -> str:
    return _LONG_WORD.sub(" ", text) if _LONG.search(text) else text


# Larger than any model's; the trainer takes memory for all pieces before it starts.
_LARGEST = 1_000_000
_SPARE = 100_000
# Of the text's characters, and of the vocabulary's pieces.
_COVERED = 0.9999
_FOR_CHARACTERS = 0.75
_LEAST_COVERED = 0.9


def _chosen(
    subwords: Sequence[str], frequencies: collections.Counter, room: int, alphabet_size: int | None
) -> list[str]:
    """The subwords that the vocabulary gets, at most `room`, in their order.

    Args:
        subwords: all characters, alone and as continuations, then longer ones by falling frequency.
        frequencies: of the characters.
        room: the number of subwords.
        alphabet_size: see `train_vocabulary`.
    """
    forms = collections.defaultdict(list)  # of a character: alone, and as a continuation
    for token in subwords:
        if len(character := _without_prefix(token)) == 1:
            forms[character].append(token)
    ranked = [character for character, _ in frequencies.most_common() if character in forms]
    total = sum(frequencies[character] for character in ranked)
    kept, used, covered = set(), 0, 0
    limit = room * _FOR_CHARACTERS if alphabet_size is None else room
    for character in ranked[:alphabet_size]:
        used += len(forms[character])
        if used > limit or (alphabet_size is None and covered >= _COVERED * total):
            break
        kept.add(character)
        covered += frequencies[character]
    if alphabet_size is None and covered < _LEAST_COVERED * total:
        raise InputError(
            f"{room + len(_SPECIAL):,} pieces have no place for {len(ranked) - len(kept):,} of the "
            f"text's {len(ranked):,} characters, {1 - covered / total:.0%} of the text; take a "
            "larger vocabulary (alphabet_size says how many characters to keep all the same)"
        )
    chosen = {token for character in kept for token in forms[character]}
    longer = (
        p for p in subwords if len(_without_prefix(p)) > 1 and kept.issuperset(_without_prefix(p))
    )
    chosen.update(itertools.islice(longer, room - len(chosen)))
    if alphabet_size is None:
        for character in ranked:
            if len(chosen) + len(forms[character]) <= room:
                chosen.update(forms[character])
    return [token for token in subwords if token in chosen]


def _without_prefix(token: str) -> str:
    return token.removeprefix("##") if len(token) > 2 else token
