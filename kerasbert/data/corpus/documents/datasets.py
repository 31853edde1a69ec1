"""Documents of data sets that have a name."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from kerasbert import lazy
from kerasbert.data import json_lines
from kerasbert.data.corpus.documents.lines import Report, decode
from kerasbert.errors import InputError


def read_tfds(source: str, text_column: str, report: Report) -> Iterator[tuple[int, str]]:
    """Reads `tfds:NAME` or `tfds:NAME:SPLIT`; yields the number and the text of each example.

    Raises:
        InputError: TFDS does not have it or can't read it, or it has no such feature with text.
    """
    import tensorflow_datasets as tfds  # slow, and seldom needed

    _, name, *split = source.split(":", 2)
    with _errors(source, "TFDS"):
        try:
            builder: Any = tfds.builder(name)
        except tfds.core.DatasetNotFoundError:
            raise InputError(f"{source}: TFDS has no dataset of this name") from None
        if text_column not in builder.info.features:
            paths = ", ".join(builder.info.features)
            raise InputError(f"{source}: has no feature {text_column!r}; its features are {paths}")
        builder.download_and_prepare()
        examples = iter(tfds.as_numpy(builder.as_dataset(split=split[0] if split else "train")))
    for number, example in _numbered(source, "TFDS", examples):
        text = example[text_column]
        if not isinstance(text, bytes):
            raise InputError(f"{source}: the feature {text_column!r} is not text")
        where = f"{source}: example {number + 1}"
        yield number, decode(text.splitlines(keepends=True), report, lambda _, where=where: where)


def read_hugging_face(source: str, text_column: str, report: Report) -> Iterator[tuple[int, str]]:
    """Reads `hf:NAME[:CONFIG][:SPLIT]` as a stream; yields numbers and texts of its examples.

    Raises:
        InputError: the package is not installed, it can't read the data set, or this has no such
            column of strings.
    """
    datasets = lazy.extra("datasets", "datasets")
    _, name, *rest = source.split(":", 3)
    config, split = [*rest, "", ""][:2]
    with _errors(source, "datasets"):
        examples = iter(
            datasets.load_dataset(name, config or None, split=split or "train", streaming=True)
        )
    for number, row in _numbered(source, "datasets", examples):
        yield number, _text(source, number, row, text_column)


def _numbered(source: str, library: str, examples: Iterator[dict]) -> Iterator[tuple[int, dict]]:
    """Yields the examples that a library reads, with their numbers."""
    for number in itertools.count():
        with _errors(source, library):
            example = next(examples, None)
        if example is None:
            return
        yield number, example


def _text(source: str, number: int, row: dict, text_column: str) -> str:
    if text_column not in row:
        columns = ", ".join(row)
        raise InputError(f"{source}: has no column {text_column!r}; its columns are {columns}")
    text = "" if row[text_column] is None else row[text_column]
    if not isinstance(text, str):
        raise InputError(
            f"{source}: example {number + 1}: the column {text_column!r} must be of strings, found "
            f"{type(text).__name__}"
        )
    return json_lines.without_surrogates(text)


@contextlib.contextmanager
def _errors(source: str, library: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the hub, every format and every store have their own
        raise InputError(f"{source}: {library} can't read it ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


#: From a source, the name of its column and the report to update, to its numbers and texts.
Reader = Callable[[str, str, Report], Iterator[tuple[int, str]]]
#: How sources of these beginnings are read.
READERS: dict[str, Reader] = {
    "tfds:": read_tfds,
    "hf:": read_hugging_face,
}


def reader(source: str) -> Reader | None:
    """Returns the reader of a data set; None if a source is a file."""
    if source.startswith("hf://"):
        return None
    return next((READERS[start] for start in READERS if source.startswith(start)), None)
