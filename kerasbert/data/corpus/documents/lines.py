"""Lines of text files, with their places."""

from __future__ import annotations

import codecs
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator
from typing import BinaryIO

from kerasbert.data.corpus.documents.stores import is_compressed, opened
from kerasbert.errors import InputError, escaped

_logger = logging.getLogger(__name__)
_BLOCK = 1 << 16
#: The most bytes of a line, and of a document of several lines: memory holds it several times.
LONGEST = 1 << 26

Line = tuple[int, int, bytes]


@dataclasses.dataclass
class Report:
    """Statistics that are updated while documents are read.

    Attributes:
        documents: integer, the number of documents with text.
        empty: integer, the number of documents without text, which are skipped.
        invalid_utf8: integer, the number of lines that are not valid UTF-8; invalid bytes are
            replaced by U+FFFD.
        named_lines: integer, the maximum number of these lines that are logged.
        left_out: dict from reasons to the number of documents (of paragraphs, for "paragraph") that
            were left out for it, if there are any.
    """

    documents: int = 0
    empty: int = 0
    invalid_utf8: int = 0
    named_lines: int = 10
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Counts what was left out."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count


@dataclasses.dataclass(frozen=True)
class Where:
    """The position of a line; its number in the file is found out when a message needs it."""

    lines: Lines
    number: int

    @property
    def line(self) -> int:
        """The number of the line in the file, from 1."""
        return self.lines.lines_before + self.number

    def __str__(self) -> str:
        return f"{self.lines}:{self.line}"


class Lines:
    """The lines of a file, from the one that contains the byte before `start`.

    That line shows whether a document begins at `start`. Iterating yields each line's number, from
    1 for the first, the position of its first byte in the (decompressed) file, and its bytes.

    Args:
        path: path of the file.
        report: `Report` that counts invalid lines.
        start: integer, a position in the file; only for files that are not compressed.
    """

    def __init__(self, path: str, report: Report, start: int = 0):
        self._path = path
        self._report = report
        self._start = start

    def __iter__(self) -> Iterator[Line]:
        with opened(self._path) as file:
            position = _line_start(file, self._start) if self._start else 0
            if self._start:  # what has no size can't seek
                file.seek(position)
            for number, data in enumerate(self._short(file), start=1):
                yield number, position, data if position else data.removeprefix(codecs.BOM_UTF8)
                position += len(data)

    def _short(self, file: BinaryIO) -> Iterator[bytes]:
        """Yields lines; raises `InputError` for a longer one."""
        while data := file.readline(LONGEST + 1):
            if len(data) > LONGEST:
                when = " when decompressed" if is_compressed(self._path) else ""
                raise InputError(f"{self}: has a line of over {LONGEST:,} bytes{when}; divide it")
            yield data

    def where(self, number: int) -> Where:
        """Returns file and line, for a message, of the line that was yielded with this number."""
        return Where(self, number)

    def __str__(self) -> str:
        return self._path

    @functools.cached_property
    def lines_before(self) -> int:
        """The number of lines before the first one that is read; reads them."""
        if not self._start:  # what is compressed, or has no size, can't seek
            return 0
        with opened(self._path) as file:
            left = _line_start(file, self._start)
            file.seek(0)
            count = 0
            while left:
                block = file.read(min(left, _BLOCK))
                count += block.count(b"\n")
                left -= len(block)
            return count

    def text(self, number: int, data: list[bytes]) -> str:
        """Decodes successive lines, of which the first has this number; counts invalid ones."""
        return decode(data, self._report, lambda i: self.where(number + i))


def decode(lines: list[bytes], report: Report, where: Callable[[int], object]) -> str:
    """Decodes lines; counts and names those that are not valid UTF-8.

    Args:
        lines: list of bytes.
        report: `Report` to update.
        where: function from an index into `lines` to its position, for messages.
    """
    try:
        return b"".join(lines).decode("utf-8")
    except UnicodeDecodeError:
        return "".join(_decode_line(line, report, where, i) for i, line in enumerate(lines))


def _decode_line(data: bytes, report: Report, where: Callable[[int], object], index: int) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        report.invalid_utf8 += 1
        if report.invalid_utf8 <= report.named_lines:
            _logger.warning("%s: %s; replaced", escaped(str(where(index))), error.reason)
        return data.decode("utf-8", "replace")


def _line_start(file: BinaryIO, position: int) -> int:
    """Returns the start of the line that contains the byte before `position`."""
    end = position - 1
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def is_blank(data: bytes) -> bool:
    """Returns whether a line has only white space, as Unicode defines it."""
    stripped = data.strip()
    # Unicode has more white space than ASCII: four control characters, and others above ASCII.
    ordinary = stripped and 32 < stripped[0] < 128
    return not ordinary and not stripped.decode("utf-8", "replace").strip()
