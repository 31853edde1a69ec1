"""Examples of a file that cannot be used: counted and reported, or an error in strict mode."""

import os
from collections.abc import Callable

from kerasbert.errors import InputError

_SHOWN = 5  # lines listed per problem
_KINDS = 10  # problems listed


class SkippedExamples:
    """The skipped and corrected examples of a file, by reason.

    Args:
        source: path of the file.
        strict: whether to raise an error at the first example.
        unit: string, what identifies an example: "line", or e.g. "question" for files without
            lines.
    """

    def __init__(self, source: str | os.PathLike[str], *, strict: bool = False, unit: str = "line"):
        self.source = str(source)
        self.strict = strict
        self.unit = unit
        #: The line numbers, from 1, or ids of skipped examples, by reason.
        self.lines: dict[str, list] = {}
        #: The same for examples that are used after a correction.
        self.corrected: dict[str, list] = {}

    def note(self, line: int | str, what: str, *, corrected: bool = False) -> None:
        """Counts one example.

        Args:
            line: integer or string, the line number or id of the example.
            what: string, the reason, a short phrase shared by similar examples, such as "empty
                text".
            corrected: whether the example is used after a correction, and not skipped.

        Raises:
            InputError: `strict` is set.
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
        """Logs the skipped and corrected examples, one line per reason."""
        for done, problems in (("skipped", self.lines), ("corrected", self.corrected)):
            for what, lines in list(problems.items())[:_KINDS]:
                more = ", ..." if len(lines) > _SHOWN else ""
                shown = ", ".join(map(str, lines[:_SHOWN])) + more
                log(f"{self.source}: {len(lines)} {done}: {what} ({self.unit} {shown})")
            if rest := sum(map(len, list(problems.values())[_KINDS:])):
                log(f"{self.source}: {rest} more {done} for other reasons")

    def summary(self) -> str:
        """Returns the first reasons, for the error that no example is left."""
        more = "; ..." if len(self.lines) > _SHOWN else ""
        return "; ".join(list(self.lines)[:_SHOWN]) + more
