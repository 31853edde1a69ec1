"""Times several programs that do the same work, in turn, each in its own process.

Timings on a machine are noisy: only ratios within a round are meaningful, and only as the median of
many rounds.
"""

import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.device import peak_memory
from kerasbert.errors import InputError

_LONGEST_REASON = 300


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A program that does the work, with one setting.

    Attributes:
        library: library it belongs to; only the fastest candidate of each library is compared.
        setting: setting, such as "bfloat16".
        build: called in the candidate's process with `arguments`; returns a function that does the
            work once, and an answer to compare, or None; if the work has parts, a list of each.
            Must be importable by name.
        arguments: arguments that can be pickled.
        environment: environment variables of the process.
    """

    library: str
    setting: str
    build: Callable[..., tuple[Callable[[], Any], Any]]
    arguments: tuple = ()
    environment: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """Library and setting."""
        return f"{self.library} {self.setting}".strip()


@dataclasses.dataclass
class Timings:
    """Measurements of one candidate.

    Attributes:
        seconds: time of each round.
        peak_memory: peak memory of the process in bytes, libraries included; on a GPU, the GPU's.
        answer: the answer that `Candidate.build` returned.
    """

    seconds: list[float]
    peak_memory: int
    answer: Any

    @property
    def median(self) -> float:
        """Median seconds."""
        return statistics.median(self.seconds)

    def ratios(self, other: "Timings") -> list[float]:
        """Returns the other candidate's time relative to this one's, by round."""
        return [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]


def fastest(
    candidates: list[Candidate], rounds: int, logs: pathlib.Path, calls: int = 1
) -> tuple[list[Candidate], dict]:
    """Compares the candidates of each library with each other.

    Returns:
        The fastest candidate of each library, in order, and the median seconds of all candidates of
        libraries with several.
    """
    teams = {
        candidate.library: [s for s in candidates if s.library == candidate.library]
        for candidate in candidates
    }
    medians = {}
    for library in teams.values():
        if len(library) > 1:
            with contextlib.suppress(InputError):  # all candidates stopped
                timings = compare(library, rounds, logs, calls)
                medians |= {name: one.median for name, one in timings.items()}
    # A library whose candidates all stopped is dropped.
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
    """Runs the candidates in turn: A B C, A B C, ...; `compare_parts` for work of one part."""
    (times,) = compare_parts(candidates, rounds, logs, [calls])
    return times


def compare_parts(
    candidates: list[Candidate], rounds: int, logs: pathlib.Path, calls: Sequence[int]
) -> list[dict[str, Timings]]:
    """Runs the candidates in turn on each part of the work: A B C, A B C, ...

    Args:
        candidates: candidates with different names.
        rounds: number of timed rounds, after an untimed one.
        logs: directory for the candidates' standard error.
        calls: for each part, the times that a candidate does it per round; the median counts.

    Returns:
        For each part timings by name, without candidates that stopped before the first round; these
        are reported on standard error.

    Raises:
        InputError: a candidate stopped later, or all did; the message names the log file.
    """
    times: list[dict[str, Timings]] = [{} for _ in calls]
    with contextlib.ExitStack() as stack:
        runners, stopped = {}, None
        for (
            candidate
        ) in candidates:  # one after the other, since some look for their fastest kernels first
            runner = stack.enter_context(_running(candidate, logs))
            try:
                answers = runner.receive()
            except InputError as error:  # continue with the others
                stopped = error
                print(error, file=sys.stderr)
            else:
                runners[candidate.name] = runner
                for own, answer in zip(times, answers, strict=True):
                    own[candidate.name] = Timings([], 0, answer)
        if stopped and not runners:
            raise stopped
        for _ in range(rounds):
            for part, (own, number) in enumerate(zip(times, calls, strict=True)):
                for name, runner in runners.items():
                    own[name].seconds.append(runner.run(part, number))
        for name, runner in runners.items():
            memory = runner.stop()
            for own in times:
                own[name].peak_memory = memory
    return times


def in_process(function: Callable[..., Any], *arguments: Any, log: pathlib.Path) -> Any:
    """Calls a function in a fresh process, whose memory is free afterwards, and returns its result.

    Raises:
        InputError: it failed; the message names the log file.
    """
    with _written_to(log):
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
            try:
                return pool.submit(function, *arguments).result()
            except Exception as error:  # of any library
                with open(log, "a") as file:  # after what the process itself has written
                    traceback.print_exc(file=file)
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_REASON]
    raise InputError(f"{function.__name__} failed ({reason}); {log} says more")


@dataclasses.dataclass
class _Runner:
    """The parent's end of a candidate's process."""

    candidate: Candidate
    connection: Any
    log: pathlib.Path

    def receive(self):
        try:
            return self.connection.recv()
        except EOFError:
            raise InputError(f"{self.candidate.name} stopped; {self.log} says why") from None

    def run(self, part: int, calls: int) -> float:
        self.connection.send((part, calls))
        return self.receive()

    def stop(self) -> int:
        self.connection.send(None)
        return self.receive()


@contextlib.contextmanager
def _running(candidate: Candidate, logs: pathlib.Path) -> Iterator[_Runner]:
    # A fresh process, into which nothing has imported TensorFlow or torch yet.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    log = logs / f"{candidate.name.replace(' ', '-')}.log"
    process = context.Process(target=_serve, args=(theirs, candidate), daemon=True)
    with _written_to(log), _environment(candidate.environment):
        process.start()
    theirs.close()  # so that recv fails if the process stops
    try:
        yield _Runner(candidate, ours, log)
    finally:
        ours.close()
        process.join(timeout=20)
        if process.is_alive():
            process.kill()


@contextlib.contextmanager
def _written_to(log: pathlib.Path) -> Iterator[None]:
    """Context in which new processes write standard error to a file, from their first import on."""
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
    """Context in which new processes have these environment variables."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _serve(connection, candidate: Candidate) -> None:
    runs, answers = candidate.build(*candidate.arguments)
    if callable(runs):
        runs, answers = [runs], [answers]
    for run in runs:
        run()  # compiles
    connection.send(answers)
    with contextlib.suppress(EOFError):  # another candidate stopped
        while asked := connection.recv():
            part, calls = asked
            connection.send(statistics.median(_seconds(runs[part]) for _ in range(calls)))
        connection.send(peak_memory())


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
