"""A command of training, killed at random moments -> is its end bitwise that of an unharmed run?"""

import contextlib
import json
import os
import pathlib
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.recipes.options import KillHarnessOptions

# Of a report, what a clock decides.
_TIMES = ("seconds",)
_SHARE_AT_START = 0.2


def kill_harness(options: KillHarnessOptions) -> dict:
    """Trains twice, once undisturbed and once killed with SIGKILL; compares weights and metrics.

    Raises:
        InputError: the undisturbed run fails, or the killed one ends before it was killed enough.
    """
    output = pathlib.Path(options.output)
    output.mkdir(parents=True)
    whole, killed = output / "whole", output / "killed"
    started = time.monotonic()
    _run(options.command, whole)
    seconds = time.monotonic() - started
    moments = random.Random(options.seed)
    kills = inside_writes = 0
    while not (killed / "model").exists():
        if kills < options.kills:
            # Now and then while it starts, else after it has kept something new: else a busy
            # machine would never get it to its end.
            starting = moments.random() < _SHARE_AT_START
            wait = moments.uniform(0, seconds if starting else seconds / (8 + 2 * options.kills))
            if _kill(options.command, killed, wait, progress=not starting):
                kills += 1
            inside_writes += any(killed.glob("checkpoints/.step-*"))
        else:
            _run(options.command, killed)
    if kills < options.kills:
        raise InputError(f"the run ended after {kills} kills of {options.kills}; make it longer")
    weights = [files.sha256(run / "model" / "model.safetensors") for run in (whole, killed)]
    reports = [_reports(run) for run in (whole, killed)]
    return {
        "kills": kills,
        "kills_inside_a_checkpoint_write": inside_writes,
        "same_weights": weights[0] == weights[1],
        "same_metrics": reports[0] == reports[1],
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
        output: its run directory.
        seconds: when, counted from its start or from its first new checkpoint.
        progress: wait for that.
    """
    before = _checkpoints(output)
    with _started(command, output) as process:
        while progress and process.poll() is None and _checkpoints(output) <= before:
            time.sleep(0.02)
        try:
            _, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return True
    _check(process.returncode, errors)
    return False


def _checkpoints(run: pathlib.Path) -> set[str]:
    return {path.name for path in run.glob("checkpoints/step-*")}


def _reports(run: pathlib.Path) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    reports = [json.loads(line) for line in lines]
    return [{k: v for k, v in report.items() if k not in _TIMES} for report in reports]
