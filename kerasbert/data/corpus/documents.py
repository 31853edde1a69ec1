"""Reading of documents from text files, compressed or not, and from TensorFlow Datasets."""

import codecs
import dataclasses
import glob
import gzip
import itertools
import logging
import os
import re
import zlib
from collections.abc import Iterable, Iterator

from kerasbert.data import json_lines
from kerasbert.errors import InputError, escaped

_logger = logging.getLogger(__name__)
_DOC = re.compile(r"<doc\b[^>]*>")


@dataclasses.dataclass
class Report:
    """Statistics that are updated while documents are read.

    Attributes:
        documents: integer, the number of documents with text.
        empty: integer, the number of documents without text, which are skipped.
        invalid_utf8: integer, the number of lines that are not valid UTF-8; invalid bytes are
            replaced by U+FFFD.
        named_lines: integer, the maximum number of these lines that are logged.
    """

    documents: int = 0
    empty: int = 0
    invalid_utf8: int = 0
    named_lines: int = 10


def find_files(inputs: Iterable[str]) -> list[str]:
    """Expands glob patterns; names of existing files and `tfds:NAME` are returned unchanged.

    Raises:
        InputError: a pattern matches no file, or a name is a directory.
    """
    paths = []
    for pattern in inputs:
        if pattern.startswith("tfds:"):
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


def read_documents(inputs: Iterable[str], report: Report | None = None) -> Iterator[list[str]]:
    """Iterates over documents, each a list of its non-empty lines.

    The format of a file is determined by its first non-empty line: `<doc ...>` starts output of
    WikiExtractor (the title line is skipped), `{` starts JSON lines with a `text` each, and
    anything else is plain text with empty lines between documents. `.gz` files are decompressed.
    `tfds:NAME` or `tfds:NAME:SPLIT` is a dataset of TensorFlow Datasets with a `text` feature.

    Args:
        inputs: list of file names, glob patterns and `tfds:NAME`.
        report: `Report` to update.

    Raises:
        InputError: a file is missing or can't be read, or a line is malformed; the message names
            the file and the line.
    """
    report = report if report is not None else Report()
    for source in find_files(inputs):
        read = _read_tfds if source.startswith("tfds:") else _read_file
        for lines in read(source, report):
            lines = [line for line in map(str.strip, lines) if line]
            report.documents += bool(lines)
            report.empty += not lines
            if lines:
                yield lines


def _read_file(path: str, report: Report) -> Iterator[list[str]]:
    lines = _lines(path, report)
    for number, line in lines:
        if line.strip():
            first = (number, line)
            break
    else:
        return
    if _DOC.match(first[1]):
        yield from _wikiextractor(path, first, lines)
    elif first[1].startswith("{"):
        yield from _json_lines(path, first, lines)
    else:
        yield from _plain(first, lines)


def _lines(path: str, report: Report) -> Iterator[tuple[int, str]]:
    """Iterates over the lines of a file with their numbers, from 1."""
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            for number, data in enumerate(file, start=1):
                if number == 1:
                    data = data.removeprefix(codecs.BOM_UTF8)
                try:
                    line = data.decode("utf-8")
                except UnicodeDecodeError as error:
                    line = data.decode("utf-8", "replace")
                    report.invalid_utf8 += 1
                    if report.invalid_utf8 <= report.named_lines:
                        location = escaped(f"{path}:{number}")
                        _logger.warning("%s: %s; replaced", location, error.reason)
                yield number, line
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be read: {reason}") from None


def _plain(first, lines) -> Iterator[list[str]]:
    document = [first[1]]
    for _, line in lines:
        if line.strip():
            document.append(line)
        elif document:
            yield document
            document = []
    if document:
        yield document


def _json_lines(path, first, lines) -> Iterator[list[str]]:
    for number, line in itertools.chain([first], lines):
        if line.strip():
            yield _json_text(path, number, line).split("\n")


def _json_text(path: str, number: int, line: str) -> str:
    text = json_lines.parse(path, number, line).get("text")
    if not isinstance(text, str):
        raise InputError(f"{path}:{number}: expected a string under 'text'")
    return json_lines.without_surrogates(text)


def _wikiextractor(path, first, lines) -> Iterator[list[str]]:
    opened, document = first[0], []
    for number, line in lines:
        if _DOC.match(line):
            if opened is not None:
                raise InputError(f"{path}:{number}: <doc> inside the <doc> of line {opened}")
            opened, document = number, []
        elif line.startswith("</doc>"):
            yield document[1:]  # the first line repeats the title
            opened, document = None, []
        else:
            document.append(line)
    if opened is not None:
        raise InputError(f"{path}:{opened}: this <doc> has no </doc>; the file seems truncated")


def _read_tfds(source: str, report: Report) -> Iterator[list[str]]:
    import tensorflow_datasets as tfds

    _, name, *split = source.split(":", 2)
    try:
        builder = tfds.builder(name)
        if "text" not in builder.info.features:
            paths = ", ".join(builder.info.features)
            raise InputError(f"{source}: has no feature 'text'; its features are {paths}")
        builder.download_and_prepare()
        examples = builder.as_dataset(split=split[0] if split else "train")
    except tfds.core.DatasetNotFoundError:
        raise InputError(f"{source}: TFDS has no dataset of this name") from None
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source}: TFDS can't read it ({str(error).splitlines()[0]})") from None
    for example in tfds.as_numpy(examples):
        yield example["text"].decode("utf-8", "replace").split("\n")
