"""Documents of text files: plain text, JSON lines and the output of WikiExtractor.

Readers yield the documents that begin within a range of bytes, each with the position of its first
byte and its text. So the documents of successive ranges are those of the whole file, each once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from kerasbert import schema
from kerasbert.data import json_lines
from kerasbert.data.corpus.documents.lines import LONGEST, Line, Lines, is_blank
from kerasbert.errors import InputError

_DOC = re.compile(rb"<doc\b[^>]*>")
_ARRAY = re.compile(rb"\s*\[\s*(\{|$)")  # of objects

Documents = Iterator[tuple[int, str]]


def reader(first_line: bytes) -> Callable[..., Documents]:
    """Returns the reader of a file with this first non-empty line.

    Raises:
        InputError: the file is an array of JSON.
    """
    if _DOC.match(first_line):
        return wikiextractor
    if _ARRAY.match(first_line):
        raise InputError(
            "is one array of JSON; write JSON lines, an object on each line without [ and commas "
            "around it, as jq -c '.[]' does"
        )
    return read_json_lines if first_line.lstrip().startswith(b"{") else plain


def _check_size(lines: Lines, first: int, size: int, hint: str) -> None:
    """Raises `InputError` for a document, from line `first` on, that is too long."""
    if size > LONGEST:
        raise InputError(
            f"{lines.where(first)}: begins a document of over {LONGEST:,} bytes; {hint}"
        )


def plain(
    lines: Lines, rows: Iterator[Line], start: int, end: float, text_column: str
) -> Documents:
    """Reads paragraphs of lines, with empty lines between them."""
    document: list[bytes] = []
    first = begin = 0
    after_blank = True
    for number, position, data in rows:
        if is_blank(data):
            if document:
                yield begin, lines.text(first, document)
            document, after_blank = [], True
        elif document:
            document.append(data)
            hint = "put empty lines between documents, or write JSON lines"
            _check_size(lines, first, position + len(data) - begin, hint)
        elif after_blank and position >= start:
            if position >= end:
                return
            document, first, begin = [data], number, position
        elif position >= end:
            return
        else:  # belongs to a document that begins before `start`
            after_blank = False
    if document:
        yield begin, lines.text(first, document)


def read_json_lines(
    lines: Lines, rows: Iterator[Line], start: int, end: float, text_column: str
) -> Documents:
    """Reads one object per line, with the text under `text_column`."""
    for number, position, data in rows:
        if position >= end:
            return
        if position < start or is_blank(data):
            continue
        row = schema.parse(lines.text(number, [data]), lines.where(number), dict)
        text = row.get(text_column)
        if not isinstance(text, str):
            raise InputError(f"{lines.where(number)}: expected a string under {text_column!r}")
        yield position, json_lines.without_surrogates(text)


def wikiextractor(
    lines: Lines, rows: Iterator[Line], start: int, end: float, text_column: str
) -> Documents:
    """Reads the text between `<doc>` and `</doc>`, without its first line, the title."""
    opened: int | None = None
    for number, position, data in rows:
        if _DOC.match(data) and position >= start:
            if opened is not None:
                where, line = lines.where(number), lines.where(opened).line
                raise InputError(f"{where}: <doc> inside the <doc> of line {line}")
            if position >= end:
                return
            opened, begin, document = number, position, []
        elif opened is not None and data.startswith(b"</doc>"):
            yield begin, lines.text(opened + 2, document[1:])
            opened = None
        elif opened is not None:
            document.append(data)
            hint = "a line with </doc> must end it"
            _check_size(lines, opened, position + len(data) - begin, hint)
        elif position >= end:
            return
    if opened is not None:
        raise InputError(
            f"{lines.where(opened)}: this <doc> has no </doc>; the file seems truncated"
        )
