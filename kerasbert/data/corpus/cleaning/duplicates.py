"""Which documents and paragraphs repeat earlier ones, as a file that all parts of a corpus read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any, TypedDict

import numpy as np
import safetensors
import safetensors.numpy

from kerasbert import files, schema
from kerasbert.data.corpus.documents import datasets, parquet, stores
from kerasbert.errors import InputError

_FORMAT = "kerasbert-duplicates"
_VERSION = 1
_LEAST_BYTES = 64  # of a paragraph that is compared
_SETTINGS = "settings"  # JSON, as bytes; the other arrays are those of `Duplicates`


class _Settings(TypedDict):
    format: str
    version: int
    inputs: list[tuple[str, int | None]]
    kinds: list[str]
    text_column: str
    filters: list[str]
    sha256: str


def hash_of(lines: list[str]) -> int:
    """Returns a hash of a document, of 64 bits."""
    return _hash("\n".join(lines).encode())


def hash_of_paragraph(line: str) -> int | None:
    """Returns a hash of a line, or None if it is so short that it may well occur again."""
    data = line.encode()
    return None if len(data) < _LEAST_BYTES else _hash(data)


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def size_of(source: str) -> int | None:
    """Returns the size of a file; None for a data set."""
    return None if datasets.reader(source) else stores.size(source)


#: Arrays of integers. Documents of all inputs are in order, and so are paragraphs.
_DTYPES = {
    # (inputs + 1,): 0, and where the documents of each input end in the arrays below.
    "document_ends": "<i8",
    # (documents,): the positions in their inputs (see `read_range`), and hashes of documents.
    "document_positions": "<i8",
    "document_hashes": "<u8",
    # 1 for near-duplicates, 0 for equal documents.
    "document_is_near": "u1",
    # The input, and the position there, of the document that is kept instead.
    "kept_inputs": "<u4",
    "kept_positions": "<i8",
    # The same of paragraphs: positions of their documents, their lines there from 0, and hashes.
    "paragraph_ends": "<i8",
    "paragraph_positions": "<i8",
    "paragraph_lines": "<u4",
    "paragraph_hashes": "<u8",
}

_ALIGNED = {
    "document": ("document_hashes", "document_is_near", "kept_inputs", "kept_positions"),
    "paragraph": ("paragraph_lines", "paragraph_hashes"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Duplicates:
    """The documents and paragraphs of some inputs that are left out.

    Attributes:
        settings: dict, what they were found in, and how.
        arrays: dict of arrays of integers: the positions of these documents and paragraphs, and
            hashes of their texts.

    Examples:
        `find_duplicates` finds them, and a `Selection` leaves them out of a corpus.

        >>> import pathlib
        >>> import kerasbert
        >>> size = pathlib.Path("text.txt").write_text("A text.\\n\\nAnother.\\n\\nA text.\\n")
        >>> duplicates = kerasbert.data.corpus.find_duplicates(["text.txt"], ["document"])
        >>> for kind, source, position, kept_source, kept_position in duplicates.examples():
        ...     print(f"{source}: the {kind} at byte {position} repeats that at {kept_position}")
        text.txt: the document at byte 19 repeats that at 0
    """

    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @classmethod
    def of(
        cls,
        settings: Any,
        ends: Any,
        positions: Any,
        hashes: Any,
        documents: Any,
        is_near: Any,
        kept: Any,
        paragraphs: Any,
    ) -> Duplicates:
        """Returns duplicates from the numbers of documents over all inputs.

        Args:
            settings: dict, see the class.
            ends: (inputs + 1,), where the documents of each input end, from 0.
            positions: the position of each document.
            hashes: the hash of each document.
            documents: the numbers of documents that are left out, in order.
            is_near: for each of them, whether it is a near-duplicate.
            kept: for each of them, the number of the one that is kept.
            paragraphs: documents, lines and hashes of the paragraphs, in order.
        """
        inside, lines, paragraph_hashes = paragraphs
        kept_inputs = np.searchsorted(ends, kept, side="right") - 1
        values = {
            "document_ends": np.searchsorted(documents, ends),
            "document_positions": positions[documents],
            "document_hashes": hashes[documents],
            "document_is_near": is_near,
            "kept_inputs": kept_inputs,
            "kept_positions": positions[kept],
            "paragraph_ends": np.searchsorted(inside, ends),
            "paragraph_positions": positions[inside],
            "paragraph_lines": lines,
            "paragraph_hashes": paragraph_hashes,
        }
        arrays = {name: values[name].astype(dtype) for name, dtype in _DTYPES.items()}
        return cls.signed({"format": _FORMAT, "version": _VERSION, **settings}, arrays)

    @classmethod
    def signed(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Duplicates:
        """Returns duplicates with their SHA-256 in the settings.

        Args:
            settings: dict, see the class.
            arrays: dict, see the class.
        """
        return cls({**settings, "sha256": _sha256(settings, arrays)}, arrays)

    @property
    def sha256(self) -> str:
        """The SHA-256 of everything.

        Examples:
            >>> len(duplicates.sha256)
            64
        """
        return self.settings["sha256"]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a file.

        Args:
            path: path of the file.

        Raises:
            InputError: it can't be written.

        Examples:
            >>> duplicates.save("duplicates.safetensors")
            >>> same = kerasbert.data.corpus.Duplicates.load("duplicates.safetensors")
            >>> same.sha256 == duplicates.sha256
            True
        """
        settings = np.frombuffer(json.dumps(self.settings).encode(), np.uint8)
        with files.new_file(path) as temporary:
            safetensors.numpy.save_file({**self.arrays, _SETTINGS: settings}, temporary)

    @classmethod
    def load(cls, path: str) -> Duplicates:
        """Reads a file, or a URL.

        Args:
            path: the path or URL.

        Raises:
            InputError: it can't be read, is not a file of duplicates, or is damaged.
        """
        path = os.fspath(path)
        with stores.opened_raw(path) as file:
            data = file.read()
        try:
            arrays = safetensors.numpy.load(data)
            settings = arrays.pop(_SETTINGS).tobytes()
        except (safetensors.SafetensorError, KeyError, TypeError, ValueError):
            raise InputError(f"{path}: is not a file of find_duplicates") from None
        settings = schema.parse(settings, path, _Settings)
        if settings["format"] != _FORMAT or settings["version"] != _VERSION:
            raise InputError(f"{path}: is not a {_FORMAT} file of version {_VERSION}")
        if settings["sha256"] != _sha256(settings, arrays) or not _fit(settings, arrays):
            raise InputError(f"{path}: is damaged; find the duplicates again")
        return cls(settings, arrays)

    def check(self, inputs: list[str], reading: dict[str, Any]) -> None:
        """Raises `InputError` unless these are the inputs and settings it was made with.

        Args:
            inputs: list of the files and data sets.
            reading: dict, the result of `Selection.settings`.
        """
        for name, value in reading.items():
            if self.settings[name] != value:
                raise InputError(
                    f"the duplicates were found with other settings: {name} was "
                    f"{self.settings[name]!r} and is {value!r}"
                )
        for number, (source, size) in enumerate(self.settings["inputs"]):
            found = inputs[number] if number < len(inputs) else "nothing more"
            if found != source:
                raise InputError(
                    f"the duplicates were found in other inputs: {source} instead of {found}"
                )
            if size_of(source) != size:
                raise _changed(source)
        for source in inputs[len(self.settings["inputs"]) :]:
            raise InputError(f"the duplicates were found without {source}")

    def counts(self) -> dict[str, int]:
        """Returns the number of documents and paragraphs of each kind.

        Examples:
            >>> duplicates.counts()
            {'document': 1}
        """
        is_near = self.arrays["document_is_near"]
        counts = {
            "document": int(np.sum(is_near == 0)),
            "near": int(np.sum(is_near != 0)),
            "paragraph": len(self.arrays["paragraph_positions"]),
        }
        return {kind: counts[kind] for kind in self.settings["kinds"]}

    def in_input(self, number: int) -> OfInput:
        """Returns the duplicates in an input.

        Args:
            number: integer, the number of the input, from 0.
        """
        return OfInput(self, number)

    def examples(self) -> Iterator[tuple[str, str, int, str, int]]:
        """Iterates over documents: kind, input and position; input and position of the one kept."""
        names = [source for source, _ in self.settings["inputs"]]
        of = self.arrays
        numbers = np.arange(len(of["document_positions"]))
        inputs = np.searchsorted(of["document_ends"], numbers, side="right") - 1
        for i, number in enumerate(inputs):
            kind = "near" if of["document_is_near"][i] else "document"
            kept = names[of["kept_inputs"][i]], int(of["kept_positions"][i])
            yield kind, names[number], int(of["document_positions"][i]), *kept


class OfInput:
    """The duplicates in one input."""

    def __init__(self, duplicates: Duplicates, number: int):
        self._source = duplicates.settings["inputs"][number][0]

        def part(name):
            ends = duplicates.arrays[f"{name.partition('_')[0]}_ends"]
            return duplicates.arrays[name][ends[number] : ends[number + 1]]

        self._positions, self._hashes, self._is_near = map(
            part, ("document_positions", "document_hashes", "document_is_near")
        )
        self._of_paragraphs, self._lines, self._paragraph_hashes = map(
            part, ("paragraph_positions", "paragraph_lines", "paragraph_hashes")
        )
        self._found = self._found_paragraphs = 0

    def kind(self, position: int, lines: list[str]) -> str | None:
        """Returns "document" or "near" if the document at a position is left out, else None."""
        i = np.searchsorted(self._positions, position)
        if i == len(self._positions) or self._positions[i] != position:
            return None
        if self._hashes[i] != hash_of(lines):
            raise _changed(self._source)
        self._found += 1
        return "near" if self._is_near[i] else "document"

    def without_paragraphs(self, position: int, lines: list[str]) -> list[str]:
        """Returns the lines of a document that do not repeat earlier paragraphs."""
        first, end = np.searchsorted(self._of_paragraphs, [position, position + 1])
        if first == end:
            return lines
        repeated = dict(
            zip(
                self._lines[first:end].tolist(),
                self._paragraph_hashes[first:end].tolist(),
                strict=True,
            )
        )
        for line, hashed in repeated.items():
            if line >= len(lines) or hash_of_paragraph(lines[line]) != hashed:
                raise _changed(self._source)
        self._found_paragraphs += len(repeated)
        return [text for line, text in enumerate(lines) if line not in repeated]

    def check_found(self, start: int, end: int | None) -> None:
        """Raises `InputError` unless all duplicates of a range that was read were in it.

        Args:
            start: integer, the first byte.
            end: integer, exclusive, or None for the end of the input.
        """
        if self._source.endswith(parquet.ENDING):
            return  # positions are numbers of rows, which do not move as places of bytes do
        for positions, found in (
            (self._positions, self._found),
            (self._of_paragraphs, self._found_paragraphs),
        ):
            stop = len(positions) if end is None else np.searchsorted(positions, end)
            if found != stop - np.searchsorted(positions, start):
                raise _changed(self._source)


def _changed(source: str) -> InputError:
    return InputError(f"{source}: has changed since its duplicates were found; find them again")


def _fit(settings: dict, arrays: dict[str, np.ndarray]) -> bool:
    """Returns whether arrays have the types and lengths of one file of duplicates."""
    types = {name: (array.dtype, array.ndim) for name, array in arrays.items()}
    if types != {name: (np.dtype(dtype), 1) for name, dtype in _DTYPES.items()}:
        return False
    count = len(settings["inputs"])
    for kind, others in _ALIGNED.items():
        ends, length = arrays[f"{kind}_ends"], len(arrays[f"{kind}_positions"])
        in_order = len(ends) == count + 1 and not np.any(ends[:-1] > ends[1:])
        if not in_order or ends[0] != 0 or ends[-1] != length:
            return False
        if any(len(arrays[name]) != length for name in others):
            return False
    return not np.any(arrays["kept_inputs"] >= count)


def _sha256(settings: dict, arrays: dict[str, np.ndarray]) -> str:
    settings = {name: value for name, value in settings.items() if name != "sha256"}
    whole = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in sorted(arrays):
        whole.update(arrays[name].tobytes())
    return whole.hexdigest()
