"""What is wrong with single examples of a file: counted and told, or the end of it."""

import os
from collections.abc import Callable

from kerasbert.errors import InputError

_SHOWN = 5  # lines that are named


class Problems:
    """Examples that are left out, by what is wrong with them.

    Args:
        source: the file.
        strict: raise at the first.
    """

    def __init__(self, source: str | os.PathLike, *, strict: bool = False):
        self.source = str(source)
        self.strict = strict
        #: Line numbers, from 1, by what is wrong there.
        self.lines: dict[str, list[int]] = {}

    def note(self, line: int, what: str) -> None:
        """Counts one example.

        Args:
            line: its line.
            what: a short phrase that others share, such as "empty text".

        Raises:
            InputError: strict.
        """
        if self.strict:
            raise InputError(f"{self.source}:{line}: {what}")
        self.lines.setdefault(what, []).append(line)

    def report(self, say: Callable[[str], None]) -> None:
        """Says what was left out, a line for each kind."""
        for what, lines in self.lines.items():
            shown = ", ".join(map(str, lines[:_SHOWN])) + (", ..." if len(lines) > _SHOWN else "")
            say(f"{self.source}: {len(lines)} left out: {what} (line {shown})")
