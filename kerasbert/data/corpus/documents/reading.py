"""Reading of documents from files, here or on remote stores, and from data sets by name."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator

from kerasbert.data.corpus.documents import datasets, formats, parquet, stores
from kerasbert.data.corpus.documents.lines import Line, Lines, Report, is_blank
from kerasbert.errors import InputError, about, shown

TEXT_COLUMN = "text"


def find_files(inputs: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Expands glob patterns; names of existing files and of data sets are returned unchanged.

    Raises:
        InputError: `inputs` is a single name, a pattern matches no file, a name is a directory, or
            a store can't be used.
    """
    if isinstance(inputs, str | os.PathLike):
        raise InputError(
            f"inputs must be a list of files and data sets; put {shown(inputs)} in a list"
        )
    paths = []
    for given in inputs:
        pattern = os.fspath(given)
        paths += [pattern] if datasets.reader(pattern) else stores.find(pattern)
    if not paths:
        raise InputError("no input is given")
    return paths


def size_to_cut(source: str) -> int | None:
    """Returns the bytes of a file whose ranges `read_range` can read; None if it is read whole."""
    if datasets.reader(source) or stores.is_compressed(source):
        return None
    return stores.size(source)


def read_documents(
    inputs: Iterable[str | os.PathLike[str]],
    report: Report | None = None,
    *,
    text_column: str = TEXT_COLUMN,
) -> Iterator[list[str]]:
    """Iterates over documents, each a list of its non-empty lines.

    `.parquet` is a table. The format of other files is determined by the first non-empty line:
    `<doc ...>` starts output of WikiExtractor (the title line is skipped), `{` starts JSON lines,
    and anything else is plain text with empty lines between documents. A line, and a document of
    several lines, has at most 64 MiB. `.gz`, `.bz2`, `.xz` and `.zst` are decompressed. `tfds:NAME`
    or `tfds:NAME:SPLIT` is a dataset of TensorFlow Datasets, and `hf:NAME`, `hf:NAME:CONFIG` or
    `hf:NAME:CONFIG:SPLIT` one of Hugging Face.

    Args:
        inputs: list of paths, URLs, glob patterns of both, and names of data sets.
        report: `Report` to update.
        text_column: string, the column, key or feature with the text.

    Raises:
        InputError: a file is missing, can't be read or is not text, or a line is malformed or too
            long; the message names the file and the line.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> text = "The first document.\\nIt has two lines.\\n\\nThe second.\\n"
        >>> size = pathlib.Path("text.txt").write_text(text)
        >>> for document in kerasbert.data.corpus.read_documents(["text.txt"]):
        ...     print(document)
        ['The first document.', 'It has two lines.']
        ['The second.']
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
    """Iterates over the documents that begin in a range of bytes of a source, with their positions.

    The documents of successive ranges are those of the whole file, each once, and so are the counts
    of their reports. A row of a Parquet file begins where its row group begins.

    Args:
        source: a file or data set that `find_files` returned.
        start: integer, the first byte. Other ranges than the whole only if `size_to_cut` allows.
        end: integer, exclusive, or None for the end of the source.
        report: `Report` to update.
        text_column: see `read_documents`.

    Yields:
        The position of a document in its source, which increases and does not depend on the range:
        that of its first byte (in the decompressed file), or the number of its row or example;
        and a list of its non-empty lines.
    """
    report = report if report is not None else Report()
    if read := datasets.reader(source):
        documents = read(source, text_column, report)
    else:
        documents = _read_file(source, start, math.inf if end is None else end, report, text_column)
    for position, text in documents:
        lines = [line for line in map(str.strip, text.split("\n")) if line]
        report.documents += bool(lines)
        report.empty += not lines
        if lines:
            yield position, lines


def _read_file(path, start, end, report, text_column) -> formats.Documents:
    if path.endswith(parquet.ENDING):
        return parquet.read_parquet(path, report, start, end, text_column)
    lines = Lines(path, report, start)
    rows = iter(lines)
    first = _first_line(iter(Lines(path, report)) if start else rows)
    if first is None:
        return iter(())
    if not start:
        rows = itertools.chain([first], rows)
    with about(path):
        reader = formats.reader(first[2])
    return reader(lines, rows, start, end, text_column)


def _first_line(rows: Iterator[Line]) -> Line | None:
    """Returns the first line that is not empty, which shows the format of the file."""
    return next((row for row in rows if not is_blank(row[2])), None)
