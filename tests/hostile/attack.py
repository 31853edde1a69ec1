"""An attack: hostile files and a command line, and the allowed outcomes."""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import numpy as np
import safetensors.numpy

#: Any outcome but a traceback, a crash, a hang, too much memory or partial output.
ANY = "any"
#: Like `ANY`, but if the files are accepted, the result must be that of the intact files.
SAME = "same"
#: An error of one line and status 1.
REFUSED = "refused"
#: Status 0.
ACCEPTED = "accepted"

#: Columns of the table, by the first word of a fault.
FAULTS = {
    "crash": "crashes",
    "hang": "hangs",
    "memory": "too much memory",
    "traceback": "tracebacks",
    "silent": "silent wrong",
    "message": "bad message",
}

MEGABYTE = 1 << 20
_LONGEST_LINE = 2_100


@dataclasses.dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        kind: its class, a row of the table.
        name: description of what is wrong, unique within the class.
        make: writes the files into an empty directory.
        program: a recipe, or one of `forked.PROBES`.
        flags: flags of the program; `{}` in a value stands for the directory.
        expect: one of the four expectations above.
        unharmed: with `SAME`, writes the intact files.
        output: path, within the directory, that the program would write; after an error it must
            not exist.
    """

    kind: str
    name: str
    make: Callable[[pathlib.Path], None]
    program: str
    flags: dict
    expect: str = ANY
    unharmed: Callable[[pathlib.Path], None] | None = None
    output: str | None = None

    def words(self, directory: pathlib.Path) -> list[str]:
        """Returns the command line."""
        words = []
        for flag, values in self.flags.items():
            for value in values if isinstance(values, list) else [values]:
                words.append(f"--{flag}={str(value).replace('{}', str(directory))}")
        return words


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of an attack, or of the same program on intact files.

    Attributes:
        status: exit status; None if the process died or was killed.
        death: how it died.
        out: standard output.
        err: standard error.
        seconds: processor time of all threads.
        memory: bytes beyond those at the start.
    """

    status: int | None
    death: str = ""
    out: str = ""
    err: str = ""
    seconds: float = 0.0
    memory: int = 0

    @property
    def result(self) -> str:
        """Returns the last line of standard output."""
        return self.out.splitlines()[-1] if self.out.strip() else ""


def most_memory(size: int) -> int:
    """Returns the memory limit in bytes for files of a given size."""
    return 4 * size + 500 * MEGABYTE


def most_seconds(size: int) -> float:
    """Returns the time limit in seconds for files of a given size in bytes."""
    return 10.0 * max(1.0, size / MEGABYTE)


def fault(attack: Attack, outcome: Outcome, unharmed: str, directory: pathlib.Path, size: int):
    """Returns what is wrong with an outcome (one of `FAULTS`, a colon, a description), or None."""
    if outcome.status is None:
        return outcome.death
    if (directory / CANARY).exists():
        return "silent: ran code of the file"
    if outcome.memory > most_memory(size):
        return f"memory: {outcome.memory / MEGABYTE:.0f} MB"
    if outcome.seconds > most_seconds(size):
        return f"hang: {outcome.seconds:.0f} s"
    if outcome.status == 0:
        return _fault_of_acceptance(attack, outcome, unharmed, directory)
    return _fault_of_refusal(attack, outcome, directory)


#: File that is created if code in an attack runs.
CANARY = "canary"


def _fault_of_acceptance(attack, outcome, unharmed, directory) -> str | None:
    if "Traceback" in outcome.err:
        return "traceback: in spite of status 0"
    if attack.expect == REFUSED:
        return "silent: accepted"
    if attack.expect == SAME and outcome.result != unharmed:
        return "silent: accepted, with another result"
    if '"finite": false' in outcome.result and "finite" not in outcome.err:
        return "silent: accepted, not finite, without a word"
    return attack.output and _fault_of_output(directory / attack.output, outcome)


def _fault_of_output(output: pathlib.Path, outcome: Outcome) -> str | None:
    """Returns what is wrong with a program's output, or None."""
    if not output.exists():
        return "silent: no output in spite of status 0"
    for path in output.rglob("model.safetensors"):
        arrays = safetensors.numpy.load_file(path).values()
        if not all(np.isfinite(array).all() for array in arrays):
            return "silent: a model that is not finite"
    if output.suffix == ".jsonl":
        lines = len(output.read_bytes().splitlines())
        if lines != json.loads(outcome.result)["examples"]:
            return f"silent: {lines} lines of answers"
    return None


def _fault_of_refusal(attack: Attack, outcome: Outcome, directory: pathlib.Path) -> str | None:
    ends = "\n".join(line.rpartition("\r")[2] for line in outcome.err.split("\n"))  # without bars
    lines = [line for line in ends.splitlines() if line.strip()]
    if "Traceback" in outcome.err:
        return f"traceback: {lines[-1][:150]}"
    if outcome.status != 1:
        return f"message: status {outcome.status}"
    if not lines or not lines[-1].startswith("error: "):
        return f"message: no error line: {lines[-1][:150] if lines else ''}"
    if sum(line.startswith("error: ") for line in lines) > 1:
        return "message: several error lines"
    if len(lines[-1]) > _LONGEST_LINE:
        return f"message: a line of {len(lines[-1])} characters"
    # str.splitlines splits at more characters than terminals do; escapes are not printable.
    if not all(c.isprintable() for c in outcome.err.replace("\n", "").replace("\r", "")):
        return "message: unprintable characters on the terminal"
    if attack.expect == ACCEPTED:
        return f"message: refused: {lines[-1][:150]}"
    if left := _left(attack, directory):
        return f"silent: left {left}"
    return None


def _left(attack: Attack, directory: pathlib.Path) -> str | None:
    """Returns the output files that exist in spite of an error."""
    if not attack.output:
        return None
    path = directory / attack.output
    if path.exists():
        return attack.output
    if not path.parent.exists():
        return None
    own = [other.name for other in path.parent.iterdir() if other.name.startswith(f".{path.name}.")]
    # Locks are kept: removing one would let two processes hold it.
    own = [name for name in own if not name.endswith(".lock")]
    return own[0] if own else None
