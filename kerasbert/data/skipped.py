"""Examples of a file that cannot be used: counted and reported, or an error in strict mode."""

import os
from collections.abc import Callable

from kerasbert.errors import InputError

_SHOWN = 5  # lines that are named
_KINDS = 10  # problems that are named


class SkippedExamples:
    """The examples of a file that are skipped or corrected, by the reason.

    Args:
        source: the file.
        strict: raise at the first.
        unit: what examples are named by: lines or, where a file has none, such as "question".
    """

    def __init__(self, source: str | os.PathLike, *, strict: bool = False, unit: str = "line"):
        self.source = str(source)
        self.strict = strict
        self.unit = unit
        #: Line numbers, from 1, or other names of skipped examples, by the reason.
        self.lines: dict[str, list] = {}
        #: The same of examples that are used after a correction.
        self.corrected: dict[str, list] = {}

    def note(self, line: int | str, what: str, *, corrected: bool = False) -> None:
        """Counts one example.

        Args:
            line: its line, or what else names it.
            what: a short phrase that others share, such as "empty text".
            corrected: the example is used, after a correction.

        Raises:
            InputError: strict.
        """
        if self.strict:
            location = f"{line}" if self.unit == "line" else f" {self.unit} {line}"
            raise InputError(f"{self.source}:{location}: {what}")
        (self.corrected if corrected else self.lines).setdefault(what, []).append(line)

    @property
    def num_skipped(self) -> int:
        """The number of skipped examples."""
        return sum(map(len, self.lines.values()))

    def report(self, log: Callable[[str], None]) -> None:
        """Logs what was skipped and what was corrected, one line for each reason."""
        for done, problems in (("skipped", self.lines), ("corrected", self.corrected)):
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
