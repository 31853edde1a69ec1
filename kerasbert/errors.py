"""The one exception that means: what the user gave is wrong."""

import contextlib
import re
import reprlib
from collections.abc import Iterator

#: What commands a terminal, ends a line or turns text around, and halves of surrogate pairs, which
#: UTF-8 can't hold.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST = 2_000  # characters of a message

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 100


def escaped(text: str) -> str:
    r"""Text from anywhere as a terminal can show it, on one line; Escape is shown as `\x1b`."""
    return UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], text)


def one_line(text: str) -> str:
    """As `escaped`, and without the middle if it is long: what to do stands at the end."""
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        num_skipped = len(text) - 2 * half
        text = f"{text[:half]} ... ({num_skipped:,} characters) ... {text[-half:]}"
    return escaped(text)


def shown(value) -> str:
    """A value for a message, cut where it is long or deep."""
    return _SHORT.repr(value)


class InputError(ValueError):
    """Bad input: a file, a line, a key, an option.

    The message is one line that names the place, what was found and what to do. Programs in
    `scripts/` print it and exit with status 1; anything else that is raised is a bug and keeps
    its traceback. What is in it from a file is escaped, and cut where it is long.
    """

    def __init__(self, message: str):
        super().__init__(one_line(str(message)))


@contextlib.contextmanager
def about(location) -> Iterator[None]:
    """While this lasts, an `InputError` that does not name the place, a file say, gets its name."""
    try:
        yield
    except InputError as error:
        if str(location) in str(error):
            raise
        raise InputError(f"{location}: {error}") from None


class Interrupted(Exception):  # noqa: N818  nothing went wrong
    """A run stopped because a signal asked it to; the message says how to go on.

    Args:
        message: one line.
        signal: the signal's number; programs exit with 128 more, as shells do.
    """

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal
