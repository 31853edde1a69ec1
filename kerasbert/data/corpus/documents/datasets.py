"""Documents of data sets that have a name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from kerasbert import lazy
from kerasbert.data import json_lines
from kerasbert.errors import InputError


def read_tfds(source: str, text_column: str) -> Iterator[tuple[int, str]]:
    """Reads `tfds:NAME` or `tfds:NAME:SPLIT`; yields the number and the text of each example.

    Raises:
        InputError: TFDS does not have it, or it has no such feature with text.
    """
    import tensorflow_datasets as tfds  # slow, and seldom needed

    _, name, *split = source.split(":", 2)
    try:
        builder: Any = tfds.builder(name)
        if text_column not in builder.info.features:
            paths = ", ".join(builder.info.features)
            raise InputError(f"{source}: has no feature {text_column!r}; its features are {paths}")
        builder.download_and_prepare()
        examples = builder.as_dataset(split=split[0] if split else "train")
    except InputError:
        raise
    except tfds.core.DatasetNotFoundError:
        raise InputError(f"{source}: TFDS has no dataset of this name") from None
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source}: TFDS can't read it ({_first_line(error)})") from None
    for number, example in enumerate(tfds.as_numpy(examples)):
        text = example[text_column]
        if not isinstance(text, bytes):
            raise InputError(f"{source}: the feature {text_column!r} is not text")
        yield number, text.decode("utf-8", "replace")


def read_hugging_face(source: str, text_column: str) -> Iterator[tuple[int, str]]:
    """Reads `hf:NAME[:CONFIG][:SPLIT]` as a stream; yields numbers and texts of its examples.

    Raises:
        InputError: the package is not installed, it can't read the data set, or this has no such
            column of strings.
    """
    datasets = lazy.extra("datasets", "datasets")
    _, name, *rest = source.split(":", 3)
    config, split = [*rest, "", ""][:2]
    with _errors(source):
        examples = datasets.load_dataset(
            name, config or None, split=split or "train", streaming=True
        )
        rows = enumerate(iter(examples))
    while True:
        with _errors(source):
            number, row = next(rows, (None, None))
        if number is None or row is None:
            return
        yield number, _text(source, number, row, text_column)


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
def _errors(source: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the hub, every format and every store have their own
        raise InputError(f"{source}: datasets can't read it ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


#: How sources of these beginnings are read.
READERS: dict[str, Callable[[str, str], Iterator[tuple[int, str]]]] = {
    "tfds:": read_tfds,
    "hf:": read_hugging_face,
}


def reader(source: str) -> Callable[[str, str], Iterator[tuple[int, str]]] | None:
    """Returns the reader of a data set; None if a source is a file."""
    if source.startswith("hf://"):
        return None
    return next((READERS[start] for start in READERS if source.startswith(start)), None)
