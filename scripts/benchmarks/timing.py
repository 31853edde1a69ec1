"""The same work done by several programs in turn, each in a process of its own.

Machines are noisy: of two programs only the ratio within a round means something, and of a round
only the median of many.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.device import peak_memory
from kerasbert.errors import InputError


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One program that does the work.

    Attributes:
        team: whose it is; of each team only the fastest side runs in the race.
        setting: how it is set, such as "bfloat16".
        build: called in the side's process with `arguments`; returns a function that does the work
            once, and an answer by which sides are compared, or None. Importable by name.
        arguments: can be pickled.
        environment: variables of the side's process.
    """

    library: str
    setting: str
    build: Callable[..., tuple[Callable[[], Any], Any]]
    arguments: tuple = ()
    environment: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Team and setting."""
        return f"{self.library} {self.setting}".strip()


@dataclasses.dataclass
class Timings:
    """What a side did.

    Attributes:
        seconds: of each round.
        peak_memory: the most bytes that the process had, libraries included; on a GPU, there.
        answer: what `Candidate.build` said.
    """

    seconds: list[float]
    peak_memory: int
    answer: Any

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    def ratios(self, other: "Timings") -> list[float]:
        """How many times as long the other side took, round by round."""
        return [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]


def fastest(
    candidates: list[Candidate], rounds: int, logs: pathlib.Path, calls: int = 1
) -> tuple[list[Candidate], dict]:
    """Lets the sides of each team race among themselves.

    Returns:
        The fastest of each team, in order, and everybody's median seconds where a team has several.
    """
    teams = {
        candidate.library: [s for s in candidates if s.library == candidate.library]
        for candidate in candidates
    }
    medians = {}
    for library in teams.values():
        if len(library) > 1:
            with contextlib.suppress(InputError):  # all have stopped
                timings = compare(library, rounds, logs, calls)
                medians |= {name: one.median for name, one in timings.items()}
    # Of a team whose sides all stopped none is left.
    left = [
        [s for s in library if len(library) == 1 or s.name in medians] for library in teams.values()
    ]
    return [
        min(library, key=lambda candidate: medians.get(candidate.name, 0))
        for library in left
        if library
    ], medians


def compare(
    candidates: list[Candidate], rounds: int, logs: pathlib.Path, calls: int = 1
) -> dict[str, Timings]:
    """Runs the candidates in turn: A B C, A B C, ...

    Args:
        candidates: with different names.
        rounds: turns that count, after one that does not.
        logs: a directory for the candidates' standard error.
        calls: times that a candidate does the work at its turn; their median counts.

    Returns:
        By the candidates' names; without those that stopped before the first turn, which are
        reported on standard error.

    Raises:
        InputError: a candidate stopped later, or all of them; the message says where its log is.
    """
    with contextlib.ExitStack() as stack:
        runners, times, stopped = {}, {}, None
        for (
            candidate
        ) in candidates:  # one after the other, since some look for their fastest kernels first
            runner = stack.enter_context(_running(candidate, logs))
            try:
                times[candidate.name] = Timings([], 0, runner.receive())
            except InputError as error:  # the others go on
                stopped = error
                print(error, file=sys.stderr)
            else:
                runners[candidate.name] = runner
        if not runners:
            raise stopped
        for _ in range(rounds):
            for name, runner in runners.items():
                times[name].seconds.append(runner.run(calls))
        for name, runner in runners.items():
            times[name].peak_memory = runner.stop()
    return times


@dataclasses.dataclass
class _Runner:
    """The parent's end of a side's process."""

    candidate: Candidate
    connection: Any
    log: pathlib.Path

    def receive(self):
        try:
            return self.connection.recv()
        except EOFError:
            raise InputError(f"{self.candidate.name} stopped; {self.log} says why") from None

    def run(self, calls: int) -> float:
        self.connection.send(calls)
        return self.receive()

    def stop(self) -> int:
        self.connection.send(0)
        return self.receive()


@contextlib.contextmanager
def _running(candidate: Candidate, logs: pathlib.Path) -> Iterator[_Runner]:
    # A fresh process: nothing of TensorFlow or torch is in it before the side is built.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    log = logs / f"{candidate.name.replace(' ', '-')}.log"
    process = context.Process(target=_serve, args=(theirs, candidate), daemon=True)
    with _written_to(log), _environment(candidate.environment):
        process.start()
    theirs.close()  # so that a process that stops is noticed
    try:
        yield _Runner(candidate, ours, log)
    finally:
        ours.close()
        process.join(timeout=20)
        if process.is_alive():
            process.kill()


@contextlib.contextmanager
def _written_to(log: pathlib.Path) -> Iterator[None]:
    """Processes that are started meanwhile write to a file, from their first import on."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(log, "w") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Processes that are started meanwhile have these variables."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _serve(connection, candidate: Candidate) -> None:
    run, answer = candidate.build(*candidate.arguments)
    run()  # compiles
    connection.send(answer)
    with contextlib.suppress(EOFError):  # another side stopped
        while calls := connection.recv():
            connection.send(statistics.median(_seconds(run) for _ in range(calls)))
        connection.send(peak_memory())


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
