"""The files of byte-level BPE, `vocab.json` and `merges.txt`, and their spelling of bytes."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from kerasbert import files, schema
from kerasbert.errors import InputError, shown


def _characters() -> list[str]:
    """Returns each byte's character: itself if printable in Latin-1, else one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


#: The character that stands for each byte.
CHARACTERS = _characters()
# Latin-1 maps code points to bytes. A character that stands for no byte must not be encoded as one.
_TO_LATIN = {
    **dict.fromkeys(range(256), "\uffff"),
    **{ord(character): chr(byte) for byte, character in enumerate(CHARACTERS)},
}


def token_bytes(subword: str) -> bytes:
    """Returns the bytes of a token."""
    try:
        return subword.translate(_TO_LATIN).encode("latin-1")
    except UnicodeEncodeError:  # an added token, stored as plain text
        return subword.encode("utf-8")


#: The start of the optional first line of merges.txt.
HEADER = "#version"


@dataclasses.dataclass(frozen=True)
class File:
    """The content of a file, with its name for messages.

    Args:
        name: string, the name used in messages.
        data: bytes, the content.
    """

    name: str
    data: bytes

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a file; raises `InputError` if it cannot be read."""
        return cls(str(path), files.read_bytes(path))

    def text(self) -> str:
        """Returns the decoded content without a byte order mark and with Unix line ends."""
        try:
            return self.data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise InputError(f"{self.name}:{line}: is not UTF-8") from None


def load_tokens(
    vocabulary: str | os.PathLike[str] | File | Mapping[str, int],
) -> tuple[list[str], str]:
    """Returns the tokens in the order of their ids, and the vocabulary's name for messages."""
    if isinstance(vocabulary, (str, os.PathLike)):
        vocabulary = File.read(vocabulary)
    if not isinstance(vocabulary, File):
        return _order_pieces(vocabulary, "vocabulary"), "vocabulary"
    source = vocabulary.name
    subwords = schema.parse(vocabulary.text(), source, dict[str, int])
    return _order_pieces(subwords, source), source


def _order_pieces(subwords: Mapping[str, int], source: str) -> list[str]:
    by_id: dict[int, str] = {}
    for subword, id in subwords.items():
        if not isinstance(id, (int, np.integer)) or isinstance(id, bool):
            raise InputError(
                f"{source}: the id of {subword!r} must be a whole number, found {id!r}"
            )
        if id in by_id:
            raise InputError(f"{source}: {by_id[id]!r} and {subword!r} have the same id {id}")
        if any("\ud800" <= character <= "\udfff" for character in subword):
            raise InputError(f"{source}: {subword!r} contains an unpaired surrogate")
        by_id[int(id)] = subword
    missing = next((id for id in range(len(by_id)) if id not in by_id), None)
    if missing is not None:
        raise InputError(f"{source}: no token has the id {missing}; ids must be contiguous")
    return [by_id[id] for id in range(len(by_id))]


def load_merges(merges: Any, ids: Mapping[str, int]) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Returns the pairs, and the ids of left part, right part and result: int64, (merges, 3)."""
    if isinstance(merges, (str, os.PathLike)):
        merges = File.read(merges)
    source, first = "merges", 1
    if isinstance(merges, File):
        source, merges = merges.name, merges.text().rstrip("\n").split("\n")
        if merges[0].startswith(HEADER) or merges == [""]:
            merges, first = merges[1:], 2
    pairs, rows = [], []
    for line, merge in enumerate(merges, start=first):
        pair = tuple(merge.split(" ") if isinstance(merge, str) else merge)
        if len(pair) != 2 or not all(pair):
            raise InputError(
                f"{source}:{line}: expected two tokens separated by a space, found {shown(merge)}"
            )
        row = [*pair, "".join(pair)]
        for subword in row:
            if subword not in ids:
                raise InputError(f"{source}:{line}: {subword!r} is not in the vocabulary")
        pairs.append(pair)
        rows.append([ids[subword] for subword in row])
    return pairs, np.array(rows, np.int64).reshape(-1, 3)
