"""What is wrong with single examples of a file: counted and told, or the end of it."""

import os
from collections.abc import Callable

from kerasbert.errors import InputError

_SHOWN = 5  # lines that are named
_KINDS = 10  # problems that are named


class Problems:
    """Examples that are left out or mended, by what is wrong with them.

    Args:
        source: the file.
        strict: raise at the first.
        unit: what examples are named by: lines or, where a file has none, such as "question".
    """

    def __init__(self, source: str | os.PathLike, *, strict: bool = False, unit: str = "line"):
        self.source = str(source)
        self.strict = strict
        self.unit = unit
        #: Line numbers, from 1, or other names of what is left out, by what is wrong there.
        self.lines: dict[str, list] = {}
        #: The same of what is not left out, as it could be mended.
        self.mended: dict[str, list] = {}

    def note(self, line: int | str, what: str, *, mended: bool = False) -> None:
        """Counts one example.

        Args:
            line: its line, or what else names it.
            what: a short phrase that others share, such as "empty text".
            mended: it is not left out.

        Raises:
            InputError: strict.
        """
        if self.strict:
            place = f"{line}" if self.unit == "line" else f" {self.unit} {line}"
            raise InputError(f"{self.source}:{place}: {what}")
        (self.mended if mended else self.lines).setdefault(what, []).append(line)

    @property
    def left_out(self) -> int:
        """How many examples are left out."""
        return sum(map(len, self.lines.values()))

    def report(self, log: Callable[[str], None]) -> None:
        """Says what was left out and what was mended, a line for each kind."""
        for done, problems in (("skipped", self.lines), ("corrected", self.mended)):
            for what, lines in list(problems.items())[:_KINDS]:
                more = ", ..." if len(lines) > _SHOWN else ""
                shown = ", ".join(map(str, lines[:_SHOWN])) + more
                log(f"{self.source}: {len(lines)} {done}: {what} ({self.unit} {shown})")
            if rest := sum(map(len, list(problems.values())[_KINDS:])):
                log(f"{self.source}: {rest} more {done} for other reasons")

    def summary(self) -> str:
        """Why nothing is left, for an error: the first few reasons."""
        more = "; ..." if len(self.lines) > _SHOWN else ""
        return "; ".join(list(self.lines)[:_SHOWN]) + more
