"""Runs attacks and counts failures."""

import collections
import dataclasses
import pathlib
import shutil
import stat
from collections.abc import Callable, Iterable

from attack import FAULTS, Attack, Outcome, fault
from forked import STOPPED, Server

#: An interrupted run, among the intact files.
RUN = "run"


@dataclasses.dataclass(frozen=True)
class Found:
    """The outcome of an attack; `fault` is None if it was as expected."""

    attack: Attack
    outcome: Outcome
    fault: str | None


class Harness:
    """Runs attacks in a temporary directory.

    Args:
        directory: directory for intact and damaged files.
        seconds: wall time after which an attack counts as a hang.
    """

    def __init__(self, directory: pathlib.Path, seconds: float = 60):
        self.bases = directory / "bases"
        self._place = directory / "attack"
        self._server = Server(seconds)
        self._unharmed: dict[tuple, str] = {}

    def __enter__(self):
        self.bases.mkdir(parents=True)
        self.must_run("make_bases", [f"--input={self.bases}"])
        stop = self.bases / RUN / "checkpoints" / "step-0000000008"
        self.must_run("finish_run", [f"--input={RUN}"], until=stop)
        return self

    def __exit__(self, *_):
        self._server.__exit__()
        shutil.rmtree(self._place, ignore_errors=True)

    def must_run(self, program: str, words: list[str], **how) -> Outcome:
        """Runs a program that must succeed."""
        outcome = self._server.run(program, words, self.bases, 1 << 30, seconds=300, **how)
        if outcome.status != 0 and outcome.death != STOPPED:
            raise RuntimeError(f"{program} {words}: {outcome.death} {outcome.err[-3000:]}")
        return outcome

    def run(self, attack: Attack) -> Found:
        """Runs one attack."""
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir()
        attack.make(self._place)
        size = _size(self._place)
        words = attack.words(self._place)
        outcome = self._server.run(attack.program, words, self._place, size)
        unharmed = attack.unharmed and self._of_unharmed(attack)
        return Found(attack, outcome, fault(attack, outcome, unharmed, self._place, size))

    def _of_unharmed(self, attack: Attack) -> str:
        """Returns the last line that the program prints for the intact files."""
        key = (attack.unharmed, attack.program, str(attack.flags))
        if key not in self._unharmed:
            position = self._place.with_name("unharmed")
            shutil.rmtree(position, ignore_errors=True)
            position.mkdir()
            attack.unharmed(position)
            words = attack.words(position)
            outcome = self._server.run(attack.program, words, position, 1 << 30)
            if outcome.status != 0:
                raise RuntimeError(f"{attack.program} fails unharmed: {outcome.err[-3000:]}")
            self._unharmed[key] = outcome.result.replace(str(position), str(self._place))
            shutil.rmtree(position)
        return self._unharmed[key]


def _size(directory: pathlib.Path) -> int:
    """Returns the total bytes of all regular files."""
    states = [path.lstat() for path in directory.rglob("*")]
    return sum(state.st_size for state in states if stat.S_ISREG(state.st_mode))


def table(found: Iterable[Found]) -> str:
    """Returns, by class, the numbers of attacks and of failures of each sort."""
    counts = collections.defaultdict(collections.Counter)
    for one in found:
        sort = one.fault and FAULTS[one.fault.partition(":")[0]]
        for kind in (one.attack.kind, "all"):
            counts[kind].update(["attacks", *([sort] if sort else [])])
    counts["all"] = counts.pop("all", collections.Counter())  # the last row
    columns = ["attacks", *FAULTS.values()]
    lines = [["class", *columns], ["---"] * (len(columns) + 1)]
    lines += [[kind, *(str(row[name]) for name in columns)] for kind, row in counts.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def copied(base: pathlib.Path) -> Callable[[pathlib.Path], None]:
    """Returns a function that copies a directory."""
    return lambda directory: _copy(base, directory / base.name)


def with_file(base: pathlib.Path, name: str, data: bytes) -> Callable[[pathlib.Path], None]:
    """Returns a function that copies a directory and replaces the content of one file."""

    def make(directory):
        _copy(base, directory / base.name)
        (directory / base.name / name).write_bytes(data)

    return make


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    # Without file modes: the golden files may be read-only.
    shutil.copytree(source, target, copy_function=shutil.copyfile)
