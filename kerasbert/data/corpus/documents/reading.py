"""Reading of documents from files of text, compressed or not, and from data sets by name."""

from __future__ import annotations

import glob
import itertools
import math
import os
from collections.abc import Iterable, Iterator

from kerasbert.data.corpus.documents import formats
from kerasbert.data.corpus.documents.datasets import TFDS, read_tfds
from kerasbert.data.corpus.documents.lines import Line, Lines, Report, is_blank
from kerasbert.errors import InputError

TEXT_COLUMN = "text"
_COMPRESSED = (".gz",)


def find_files(inputs: Iterable[str]) -> list[str]:
    """Expands glob patterns; names of existing files and `tfds:NAME` are returned unchanged.

    Raises:
        InputError: a pattern matches no file, or a name is a directory.
    """
    paths = []
    for pattern in inputs:
        if pattern.startswith(TFDS):
            paths.append(pattern)
            continue
        if os.path.isfile(pattern):
            paths.append(pattern)
            continue
        files = [
            path for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)
        ]
        if not files and os.path.isdir(pattern):
            raise InputError(f"{pattern}: is a directory; give its files, as in '{pattern}/*'")
        if not files:
            hint = "; in a glob pattern, [[] matches [" if "[" in pattern else ""
            raise InputError(f"{pattern}: no such file{hint}")
        paths.extend(files)
    if not paths:
        raise InputError("no input is given")
    return paths


def size_to_cut(source: str) -> int | None:
    """Returns the bytes of a file whose ranges `read_range` can read; None if it is read whole."""
    if source.startswith(TFDS) or source.endswith(_COMPRESSED):
        return None
    return os.path.getsize(source)


def read_documents(
    inputs: Iterable[str], report: Report | None = None, *, text_column: str = TEXT_COLUMN
) -> Iterator[list[str]]:
    """Iterates over documents, each a list of its non-empty lines.

    The format of a file is determined by its first non-empty line: `<doc ...>` starts output of
    WikiExtractor (the title line is skipped), `{` starts JSON lines with a `text` each, and
    anything else is plain text with empty lines between documents. `.gz` files are decompressed.
    `tfds:NAME` or `tfds:NAME:SPLIT` is a dataset of TensorFlow Datasets with a `text` feature.

    Args:
        inputs: list of file names, glob patterns and `tfds:NAME`.
        report: `Report` to update.
        text_column: string, the key or feature with the text, instead of `text`.

    Raises:
        InputError: a file is missing or can't be read, or a line is malformed; the message names
            the file and the line.
    """
    for source in find_files(inputs):
        for _, document in read_range(source, report=report, text_column=text_column):
            yield document


def read_range(
    source: str,
    start: int = 0,
    end: int | None = None,
    *,
    report: Report | None = None,
    text_column: str = TEXT_COLUMN,
) -> Iterator[tuple[int, list[str]]]:
    """Iterates over the documents that begin in a range of bytes of a source, with their places.

    The documents of successive ranges are those of the whole source, each once, and so are the
    counts of their reports.

    Args:
        source: a file or dataset that `find_files` returned.
        start: integer, the first byte. Other ranges than the whole only if `size_to_cut` allows.
        end: integer, exclusive, or None for the end of the source.
        report: `Report` to update.
        text_column: see `read_documents`.

    Yields:
        The place of a document in its source, which increases: the position of its first byte (in
        the decompressed file), or its number in a dataset; and a list of its non-empty lines.
    """
    report = report if report is not None else Report()
    if source.startswith(TFDS):
        documents = read_tfds(source, text_column)
    else:
        documents = _read_file(source, start, math.inf if end is None else end, report, text_column)
    for place, text in documents:
        lines = [line for line in map(str.strip, text.split("\n")) if line]
        report.documents += bool(lines)
        report.empty += not lines
        if lines:
            yield place, lines


def _read_file(path, start, end, report, text_column) -> formats.Documents:
    lines = Lines(path, report, start)
    rows = iter(lines)
    first = _first_line(iter(Lines(path, report)) if start else rows)
    if first is None:
        return iter(())
    if not start:
        rows = itertools.chain([first], rows)
    return formats.reader(first[2])(lines, rows, start, end, text_column)


def _first_line(rows: Iterator[Line]) -> Line | None:
    """Returns the first line that is not empty, which shows the format of the file."""
    return next((row for row in rows if not is_blank(row[2])), None)
