"""Generators and Keras's `PyDataset`, whose first batch says what they hold."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from kerasbert.errors import InputError
from kerasbert.features import is_text, unpacked


class Peeked(NamedTuple):
    """A stream of batches, and what its first batch holds.

    Attributes:
        stream: the generator or `PyDataset`, still with its first batch.
        first: the first batch.
        x: its features or text.
        y: its labels, or None.
        has_text: whether `x` is text.
    """

    stream: Any
    first: Any
    x: Any
    y: Any
    has_text: bool


def peek(stream: Any) -> Peeked:
    """Looks at the first batch of a generator or a `PyDataset`.

    Raises:
        InputError: there is no batch.
    """
    if not isinstance(stream, Iterator):
        if stream.num_batches == 0:
            raise InputError("the PyDataset has no batch")
        first = stream[0]
    else:
        try:
            first = next(stream)
        except StopIteration:
            raise InputError("the generator has no batch") from None
        stream = _beginning_with(first, stream)
    x, y, _ = unpacked(first)
    return Peeked(stream, first, x, y, is_text(x))


def _beginning_with(first, rest: Iterator):
    """Yields `first`, then `rest`; Keras takes generators but no other iterators."""
    yield first
    yield from rest
