"""The exception for invalid input, and the formatting of messages."""

import contextlib
import re
import reprlib
from collections.abc import Iterator, Sequence
from typing import Any

#: Terminal control characters, line ends, bidirectional controls, and unpaired surrogates, which
#: UTF-8 can't encode.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 2_000  # maximum length of a message in characters
_SHOWN_WEIGHTS, _SHOWN_ITEMS = 4, 8

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 100


def escaped(text: str) -> str:
    r"""Returns text on one line with unprintable characters escaped, such as Escape as `\x1b`."""
    return UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """Does what `escaped` does, and removes the middle of long texts; the end is kept."""
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        num_skipped = len(text) - 2 * half
        text = f"{text[:half]} ... ({num_skipped:,} characters) ... {text[-half:]}"
    return escaped(text)


def shown(value: Any) -> str:
    """Returns the representation of a value for a message, shortened if it is long or nested."""
    return _SHORT.repr(value)


def listed(items: Sequence[str], separator: str = ", ") -> str:
    """Returns the first items of a list for a message."""
    return separator.join(items[:_SHOWN_ITEMS]) + " ..." * (len(items) > _SHOWN_ITEMS)


class InputError(ValueError):
    """Invalid input from the user: a file, a line, a key, an option or an argument.

    The message is one line that names the location, what was found and what was expected.
    Unprintable characters are escaped, and long messages are shortened. Programs print
    it and exit with status 1; any other exception is a bug and keeps its traceback.

    Examples:
        >>> import kerasbert
        >>> try:
        ...     model = kerasbert.load("no/such/directory")
        ... except kerasbert.InputError as error:
        ...     print(error)
        no/such/directory: no such model directory, and not ...

    Args:
        message: string.
    """

    def __init__(self, message: str):
        super().__init__(one_line(str(message)))


@contextlib.contextmanager
def about(location: Any) -> Iterator[None]:
    """Prepends `location`, such as a file, to an `InputError` that does not contain it."""
    try:
        yield
    except InputError as error:
        if str(location) in str(error):
            raise
        raise InputError(f"{location}: {error}") from None


class UninitializedWeightsWarning(UserWarning):
    """Something depends on weights that were initialized at random and not trained since.

    Args:
        what: string, what depends on them, such as "my_model: its answers depend".
        weights: their paths; the first ones are named.
    """

    def __init__(self, what: str, weights: Sequence[str]):
        more = len(weights) - _SHOWN_WEIGHTS
        names = ", ".join(weights[:_SHOWN_WEIGHTS]) + (f" and {more:,} more" if more > 0 else "")
        message = (
            f"{what} on weights that were initialized at random and not trained since: {names}; "
            "train it first (fit, or kerasbert finetune), or load a checkpoint that has them"
        )
        super().__init__(one_line(message))


class Interrupted(Exception):  # noqa: N818  not an error
    """A run stopped because of a signal; the message describes how to resume it.

    Args:
        message: string, one line.
        signal: integer, the signal's number; programs exit with 128 plus this number, as shells do.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal
