"""A program, killed at random moments -> is its output bitwise that of an unharmed run?"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.options import KillHarnessOptions
from kerasbert import files
from kerasbert.errors import InputError

# Of a report of a run, what a clock decides.
_TIMES = ("seconds",)
# Of a run directory, what is no result: settings with the run's name, pictures, events.
_NOT_COMPARED = ("config.json", "curves.png", "losses.jsonl", "tensorboard")
_METRICS = "metrics.jsonl"
_SHARE_AT_START = 0.2


def kill_harness(options: KillHarnessOptions) -> dict:
    """Runs a program undisturbed, then again and again, killed with SIGKILL; compares the outputs.

    Of a training run the model and the metrics are compared, of every other program all files.

    Raises:
        InputError: the undisturbed run fails, or the killed one ends before it was killed enough
            and has no second try, as a training run that has ended.
    """
    root = pathlib.Path(options.output)
    whole, killed = (root / name / options.name for name in ("whole", "killed"))
    for output in (whole, killed):
        output.parent.mkdir(parents=True)
    started = time.monotonic()
    _run(options.command, whole)
    seconds = time.monotonic() - started
    # A training run goes on where it was killed; were it let far, it would end too early.
    is_run = (whole / "model").is_dir()
    far = seconds / (8 + 2 * options.kills) if is_run else seconds / 2
    moments = random.Random(options.seed)
    kills = inside_writes = 0
    different: set[str] = set()
    while kills < options.kills:
        # Now and then while it starts, else after it has written something new: else a busy machine
        # would never get it to its end, and most kills would meet a program that imports.
        starting = moments.random() < _SHARE_AT_START
        wait = moments.uniform(0, seconds if starting else far)
        if _kill(options.command, killed, wait, progress=not starting):
            kills += 1
            inside_writes += bool(_unfinished(killed))
        if _has_ended(killed, is_run):
            if is_run and kills < options.kills:
                raise InputError(
                    f"the run ended after {kills} kills of {options.kills}; make it longer"
                )
            different |= _differences(whole, killed)
            if not is_run:
                _remove(killed)
    if not _has_ended(killed, is_run):
        _run(options.command, killed)
    different |= _differences(whole, killed)
    left = sorted(
        path.name for path in killed.parent.iterdir() if path != killed and not _is_lock(path)
    )
    return {
        "kills": kills,
        "kills_inside_a_write": inside_writes,
        "files": len(_contents(whole)),
        "different": sorted(different),
        "left_over": left,
    }


@contextlib.contextmanager
def _started(command: str, output: pathlib.Path) -> Iterator[subprocess.Popen]:
    """The command as long as this lasts; then it and its children are killed."""
    words = [sys.executable, *shlex.split(command), f"--output={output}"]
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _run(command: str, output: pathlib.Path) -> None:
    with _started(command, output) as process:
        _, errors = process.communicate()
    _check(process.returncode, errors)


def _check(status: int, errors: bytes) -> None:
    if status:
        lines = [line for line in errors.decode().splitlines() if line.startswith("error: ")]
        raise InputError(f"the command failed: {lines[-1] if lines else errors.decode()[-500:]}")


def _kill(command: str, output: pathlib.Path, seconds: float, *, progress: bool) -> bool:
    """Starts the command and kills it and its children; whether it was still running.

    Args:
        command: see `KillHarnessOptions`.
        output: what it writes.
        seconds: when, counted from its start or from the first thing that it writes.
        progress: wait for that.
    """
    before = set(_written(output))
    with _started(command, output) as process:
        while progress and process.poll() is None and set(_written(output)) <= before:
            time.sleep(0.01)
        try:
            _, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return True
    _check(process.returncode, errors)
    return False


def _written(output: pathlib.Path) -> Iterator[tuple]:
    """What shows that a program has got further: checkpoints, files that are unfinished."""
    for path in (*output.glob("checkpoints/step-*"), *_unfinished(output)):
        try:
            yield path.name, path.stat().st_size
        except FileNotFoundError:  # it has its final name by now
            continue


def _unfinished(output: pathlib.Path) -> list[pathlib.Path]:
    """Files and directories that are not whole yet, and answers so far."""
    beside = [*output.parent.glob(".*"), *output.parent.glob("*.part")]
    leftovers = [*beside, *output.glob(".*"), *output.glob("checkpoints/.*")]
    return [path for path in leftovers if not _is_lock(path)]


def _is_lock(path: pathlib.Path) -> bool:
    return path.name.endswith(".lock")


def _has_ended(output: pathlib.Path, is_run: bool) -> bool:
    return (output / "model" if is_run else output).exists()


def _differences(whole: pathlib.Path, killed: pathlib.Path) -> set[str]:
    """The names of files that differ, or are in one place only."""
    return {name for name, _ in _contents(whole).items() ^ _contents(killed).items()}


def _remove(output: pathlib.Path) -> None:
    if output.is_dir():
        shutil.rmtree(output)
    else:
        output.unlink()


def _contents(output: pathlib.Path) -> dict[str, str]:
    """The SHA-256 of everything that the program made, by its name."""
    if output.is_file():
        return {output.name: files.sha256(output)}
    is_run = (output / "model").is_dir()
    leftovers = {}
    for path in sorted(output.rglob("*")):
        name = path.relative_to(output)
        if not path.is_file() or (is_run and name.parts[0] in _NOT_COMPARED):
            continue
        reports = is_run and name.parts[0] == _METRICS
        leftovers[name.as_posix()] = _sha256_of_reports(path) if reports else files.sha256(path)
    return leftovers


def _sha256_of_reports(path: pathlib.Path) -> str:
    reports = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{k: v for k, v in report.items() if k not in _TIMES} for report in reports]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()
