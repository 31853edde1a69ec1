"""Units of the input, each of which becomes shards of its own, and the share of a part.

Units depend only on the inputs. So a corpus has the same shards, however many parts it is made in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator

from kerasbert.data.corpus.documents import datasets, stores
from kerasbert.data.corpus.documents.reading import size_to_cut
from kerasbert.data.corpus.part import BYTES_PER_UNIT, Part

_COMPRESSION = 4  # how many times smaller compressed text is, about


@dataclasses.dataclass(frozen=True)
class Piece:
    """The documents that begin in a range of bytes of an input.

    Attributes:
        input: integer, the number of the input, from 0.
        source: the input, see `kerasbert.data.corpus.documents.reading.find_files`.
        start: integer, the first byte.
        end: integer, exclusive, or None for the end of the input.
        size: integer, the number of bytes of text; an estimate unless the input can be cut.
    """

    input: int
    source: str
    start: int
    end: int | None
    size: int


Unit = tuple[Piece, ...]


def plan_units(inputs: list[str], bytes_per_unit: int = BYTES_PER_UNIT) -> list[Unit]:
    """Divides inputs into units of at most so many bytes of text, in order.

    Large files are cut into ranges of equal size, and small files share a unit. Compressed files
    and datasets are not cut, so their units can be larger.
    """
    units: list[list[Piece]] = []
    room = 0
    for number, source in enumerate(inputs):
        for piece in _pieces(number, source, bytes_per_unit):
            if not units or piece.size > room:
                units.append([])
                room = bytes_per_unit
            units[-1].append(piece)
            room -= piece.size
    return [tuple(unit) for unit in units]


def _pieces(number: int, source: str, bytes_per_unit: int) -> Iterator[Piece]:
    size = size_to_cut(source)
    if size is None:
        # A source of unknown size, such as a data set, has a unit of its own.
        size = None if datasets.reader(source) else stores.size(source)
        size = bytes_per_unit if size is None else size * _COMPRESSION
        yield Piece(number, source, 0, None, size)
        return
    count = max(1, -(-size // bytes_per_unit))
    bounds = [size * k // count for k in range(count + 1)]
    for start, end in itertools.pairwise(bounds):
        yield Piece(number, source, start, end, end - start)


def share(units: list[Unit], part: Part) -> list[Unit]:
    """Returns the units of a part: successive ones, of about an equal number of bytes for each.

    A part may have none if there are more parts than units.
    """
    sizes = [sum(piece.size for piece in unit) for unit in units]
    total = max(1, sum(sizes))
    mine, before = [], 0
    for unit, size in zip(units, sizes, strict=True):
        # A unit belongs to the part in which its middle is.
        number = min((2 * before + size) * part.of // (2 * total), part.of - 1)
        if number == part.number - 1:
            mine.append(unit)
        before += size
    return mine


def fingerprint(units: list[Unit]) -> str:
    """Returns a SHA-256 of the names and sizes of all inputs and of how they are divided."""
    pieces = [[dataclasses.astuple(piece) for piece in unit] for unit in units]
    return hashlib.sha256(json.dumps(pieces).encode()).hexdigest()
