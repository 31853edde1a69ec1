"""WordPiece vocabularies: training, loading, checking and saving.

A vocabulary is a UTF-8 text file with one token per line; the id of a token is its line number,
from 0. Subwords that continue a word start with `##`.

Some published vocabularies contain empty or duplicate lines (ERNIE 3.0). As in BERT's own
tokenizer, the last one of several equal lines is used. The others are replaced by tokens that occur
in no text, so that all ids stay the same.
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
from kerasbert.errors import InputError, shown
from kerasbert.text.special_tokens import BERT_TOKENS, SpecialTokens

_SPECIAL = dataclasses.astuple(BERT_TOKENS)
#: A token of the Chinese BERT vocabulary, and the replacement of an empty line. It occurs in no
#: text.
LINE_SEPARATOR = "\u2028"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def unused_token(id: int) -> str:
    """Returns the placeholder for an id without a token; it is not a word and matches no text."""
    return f"[no piece {id}]"


def load_vocabulary(
    path: str | os.PathLike[str], special_tokens: SpecialTokens = BERT_TOKENS
) -> list[str]:
    """Reads and checks a vocabulary file.

    Args:
        path: path of the file.
        special_tokens: `SpecialTokens`, which must be in the vocabulary.

    Returns:
        List of strings, the tokens in the order of their ids.

    Raises:
        InputError: the file is missing, is not UTF-8, or lacks a special token; the message names
            the file and the line.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog"]
        >>> size = pathlib.Path("vocab.txt").write_text("\\n".join(words))
        >>> kerasbert.text.load_vocabulary("vocab.txt")[-2:]
        ['the', 'dog']
    """
    return parse_vocabulary(files.read_bytes(path), str(path), special_tokens)


def parse_vocabulary(
    data: bytes, source: str, special_tokens: SpecialTokens = BERT_TOKENS
) -> list[str]:
    """Returns the checked tokens of a vocabulary file's content.

    Args:
        data: bytes, the content.
        source: string, the name of the file in messages.
        special_tokens: `SpecialTokens`, which must be in the vocabulary.

    Raises:
        InputError: the content is not UTF-8 or lacks a special token.
    """
    vocabulary = vocabulary_pieces(data, source)
    check_vocabulary(vocabulary, source, special_tokens)
    return vocabulary


def vocabulary_pieces(data: bytes, source: str) -> list[str]:
    """Returns the tokens of a vocabulary file's content, without duplicates, by id.

    A byte order mark, Windows line ends and empty lines at the end are ignored. Empty and duplicate
    lines cause a warning.

    Raises:
        InputError: the content is not UTF-8, or contains NUL.
    """
    data = data.removeprefix(_BYTE_ORDER_MARK)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{source}:{line}: is not UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{source}:{line}: contains NUL; the file is damaged or not text")
    # Not splitlines(), because a token can be U+2028 or another line end of Python's.
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
            why = f"line {line} is {lines[line - 1]!r}, as is line {last[lines[line - 1]] + 1}"
        warnings.warn(
            f"{source}: {len(changed)} lines are ignored, the first because {why}; of equal lines "
            "the last is used, and all ids stay the same",
            stacklevel=2,
        )
    return kept


def check_vocabulary(
    vocabulary: Sequence[str],
    source: str = "vocabulary",
    special_tokens: SpecialTokens = BERT_TOKENS,
) -> None:
    """Checks a vocabulary.

    Args:
        vocabulary: list of strings, the tokens in the order of their ids.
        source: string, the name of the vocabulary in messages.
        special_tokens: `SpecialTokens`, which must be in the vocabulary.

    Raises:
        InputError: a token is empty or occurs twice, or a special token is missing; the message
            names `source` and the line.
    """
    lines: dict[str, int] = {}
    for line, token in enumerate(vocabulary, start=1):
        if not token:
            raise InputError(f"{source}:{line}: empty line; every line must contain a token")
        if token in lines:
            raise InputError(f"{source}:{line}: {token!r} is already in line {lines[token]}")
        lines[token] = line
    for token in dataclasses.astuple(special_tokens):
        if token in lines:
            continue
        other_case = next((entry for entry in lines if entry.upper() == token.upper()), None)
        hint = f"; line {lines[other_case]} has it as {other_case!r}" if other_case else ""
        raise InputError(f"{source}: lacks the special token {token}{hint}")


def save_vocabulary(vocabulary: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Checks a vocabulary and writes it to a file, atomically."""
    check_vocabulary(vocabulary)
    files.refuse_elsewhere(path)
    path = pathlib.Path(path)
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with files.new_file(path) as temporary:
        temporary.write_bytes(vocabulary_bytes(vocabulary))


def vocabulary_bytes(vocabulary: Sequence[str]) -> bytes:
    """Returns the content of a vocabulary file.

    Raises:
        InputError: a token cannot be a line of a file.
    """
    for id, token in enumerate(vocabulary):
        if "\n" in token or "\0" in token or token.endswith("\r"):
            raise InputError(f"{token!r}, the token with the id {id}, can't be a line of vocab.txt")
    return "".join(token + "\n" for token in vocabulary).encode("utf-8")


def vocabulary_sha256(vocabulary: Sequence[str]) -> str:
    """Returns the SHA-256 (hex) of the file of a vocabulary, which identifies it."""
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

    A word with a character that is not in the vocabulary becomes [UNK]. Characters are therefore
    added first: the most frequent ones that make up 99.99 % of the text, in at most three quarters
    of the vocabulary. Tokens that remain after the longer subwords go to further characters.

    The trainer breaks ties between equally frequent pairs by the order of a hash table, so that two
    runs on the same text can differ in their rarest tokens.

    Args:
        texts: iterable of strings, iterated once.
        vocabulary_size: integer, the maximum number of tokens, including the five special tokens.
        lowercase: whether to train on lower-cased text, for a tokenizer with `lowercase=True`.
        strip_accents: see `WordPieceTokenizer`. Defaults to `lowercase`.
        min_frequency: integer, the minimum number of occurrences of a pair of tokens to be merged.
        alphabet_size: integer, the number of different characters to keep, by frequency. A letter
            usually takes two tokens: alone, and where it continues a word. None: as described
            above.

    Returns:
        List of strings, the tokens in the order of their ids. The special tokens are first; [PAD]
        has the id 0.

    Raises:
        InputError: there is no text, the size is out of range, or the vocabulary is too small for
            `alphabet_size` characters or, without it, for those that make up 90 % of the text.

    Examples:
        >>> import kerasbert
        >>> texts = ["the dog barks", "the dogs bark"]
        >>> vocabulary = kerasbert.text.train_vocabulary(texts, vocabulary_size=50)
        >>> vocabulary[:5]
        ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(vocabulary)
        >>> tokenizer.detokenize(tokenizer(["The dog barks"])).numpy()[0].decode()
        'the dog barks'
    """
    from tokenizers import BertWordPieceTokenizer

    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise InputError(f"texts must be a list of strings, found {shown(texts)}")
    if not 2 * len(_SPECIAL) <= vocabulary_size <= _LARGEST:
        raise InputError(
            f"a vocabulary must have {2 * len(_SPECIAL)} to {_LARGEST:,} tokens, "
            f"found {vocabulary_size:,}"
        )
    if alphabet_size is not None and not 1 <= alphabet_size <= vocabulary_size - len(_SPECIAL):
        raise InputError(
            f"an alphabet of {alphabet_size:,} characters does not fit a vocabulary of "
            f"{vocabulary_size:,} tokens, {len(_SPECIAL)} of which are special tokens"
        )
    counts: collections.Counter[str] = collections.Counter()

    def counted():
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"texts[{number}] must be a string, found {shown(text)}")
            counts.update(text)
            yield _without_long_words(text)

    trainer = BertWordPieceTokenizer(lowercase=lowercase, strip_accents=strip_accents)
    trainer.train_from_iterator(
        counted(),
        # Additional tokens, because rare characters are known, and removed, only after training.
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


# WordPiece replaces longer words by [UNK], so they are useless for training, and one of a megabyte
# would take the trainer minutes. Chinese characters are words by themselves.
_LONG = re.compile(r"\S{101}")
_LONG_WORD = re.compile(r"(?:(?![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f])\w){101,}")


def _without_long_words(text: str) -> str:
    return _LONG_WORD.sub(" ", text) if _LONG.search(text) else text


# Larger than any model's vocabulary. The trainer allocates memory for all tokens at the start.
_LARGEST = 1_000_000
_SPARE = 100_000
# Shares of the text's characters (_COVERED, _LEAST_COVERED) and of the vocabulary's tokens.
_COVERED = 0.9999
_FOR_CHARACTERS = 0.75
_LEAST_COVERED = 0.9


def _chosen(
    subwords: Sequence[str], frequencies: collections.Counter, room: int, alphabet_size: int | None
) -> list[str]:
    """Returns at most `room` subwords for the vocabulary, in their order.

    Args:
        subwords: list of strings: all characters, alone and as continuations, then longer subwords
            by falling frequency.
        frequencies: counter of the characters.
        room: integer, the maximum number of subwords.
        alphabet_size: see `train_vocabulary`.
    """
    forms = collections.defaultdict(list)  # of each character: alone, and as a continuation
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
    if alphabet_size is not None and len(kept) < len(ranked[:alphabet_size]):
        raise InputError(
            f"{room + len(_SPECIAL):,} tokens have no room for {alphabet_size:,} characters, most "
            f"of them as two tokens, only for {len(kept):,}; use a larger vocabulary or a smaller "
            "alphabet_size"
        )
    if alphabet_size is None and covered < _LEAST_COVERED * total:
        raise InputError(
            f"{room + len(_SPECIAL):,} tokens have no room for {len(ranked) - len(kept):,} of the "
            f"text's {len(ranked):,} characters, {1 - covered / total:.0%} of the text; use a "
            "larger vocabulary, or set alphabet_size to the number of characters to keep"
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
