"""Kills a program at random times, and compares its output with an uninterrupted run's, bitwise."""

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

# Timings in reports of a run, which are not compared.
_TIMES = ("seconds",)
# Files of a run directory that are not compared: settings with the run's name, plots, events.
_NOT_COMPARED = ("config.json", "curves.png", "losses.jsonl", "tensorboard")
_METRICS = "metrics.jsonl"
_SHARE_AT_START = 0.2


def kill_harness(options: KillHarnessOptions) -> dict:
    """Runs a program once undisturbed, and once repeatedly killed with SIGKILL; compares outputs.

    Of a training run, the model and the metrics are compared; of any other program, all files.

    Raises:
        InputError: the undisturbed run failed, or a training run ended before it was killed often
            enough and cannot be repeated.
    """
    root = pathlib.Path(options.output)
    whole, killed = (root / name / options.name for name in ("whole", "killed"))
    for output in (whole, killed):
        output.parent.mkdir(parents=True)
    started = time.monotonic()
    _run(options.command, whole)
    seconds = time.monotonic() - started
    # A training run resumes where it was killed, so it must not get far, or it would end too early.
    is_run = (whole / "model").is_dir()
    far = seconds / (8 + 2 * options.kills) if is_run else seconds / 2
    moments = random.Random(options.seed)
    kills = inside_writes = 0
    different: set[str] = set()
    while kills < options.kills:
        # Sometimes kill it while it starts, otherwise after it has written something new: on a
        # busy machine it would never end otherwise, and most kills would only hit its imports.
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
    """Context in which the command runs; afterwards it and its children are killed."""
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
    """Runs the command and kills it with its children; returns whether it was still running.

    Args:
        command: as in `KillHarnessOptions`.
        output: path of its output.
        seconds: time of the kill, counted from the start, or from new output with `progress`.
        progress: whether to wait until it has written something new.
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
    """Yields signs of progress: checkpoints and unfinished files, with their sizes."""
    for path in (*output.glob("checkpoints/step-*"), *_unfinished(output)):
        try:
            yield path.name, path.stat().st_size
        except FileNotFoundError:  # renamed to its final name meanwhile
            continue


def _unfinished(output: pathlib.Path) -> list[pathlib.Path]:
    """Returns temporary files and directories, and partial predictions."""
    siblings = [*output.parent.glob(".*"), *output.parent.glob("*.part")]
    leftovers = [*siblings, *output.glob(".*"), *output.glob("checkpoints/.*")]
    return [path for path in leftovers if not _is_lock(path)]


def _is_lock(path: pathlib.Path) -> bool:
    return path.name.endswith(".lock")


def _has_ended(output: pathlib.Path, is_run: bool) -> bool:
    return (output / "model" if is_run else output).exists()


def _differences(whole: pathlib.Path, killed: pathlib.Path) -> set[str]:
    """Returns the names of files that differ, or that exist only once."""
    return {name for name, _ in _contents(whole).items() ^ _contents(killed).items()}


def _remove(output: pathlib.Path) -> None:
    if output.is_dir():
        shutil.rmtree(output)
    else:
        output.unlink()


def _contents(output: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of each file of an output, by name."""
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
