"""Starts several workers on one machine, to test `multiworker` or to use every core."""

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, Any

from kerasbert.errors import InputError, Interrupted
from kerasbert.program import LAUNCHER

_ADDRESS = "127.0.0.1"
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>
_SECONDS_TO_END = 3  # in which a launcher kills the other workers when one dies


def spread(workers: int) -> dict[str, Any] | None:
    """Starts `workers` copies of this program if there is more than one.

    Returns:
        The result of `launch`; None in a process that must do the work itself: a single one, or a
        worker.

    Raises:
        InputError: as of `launch`, or this process has a `TF_CONFIG` that `launch` did not set.
    """
    if launcher := os.environ.get(LAUNCHER):
        _end_with(int(launcher))
        _report_late()
    if workers == 1 or launcher:
        return None
    if os.environ.get("TF_CONFIG"):
        raise InputError(
            f"--workers={workers} starts processes on this machine and sets the TF_CONFIG of each, "
            "but TF_CONFIG is set already; unset it, or leave --workers out"
        )
    return launch(workers)


def _end_with(launcher: int) -> None:
    """Lets the kernel kill this process when its launcher ends.

    Otherwise a repeated command and this process would write to the same run. A thread could not
    do this, because TensorFlow holds the interpreter's lock while it waits for other workers. Only
    Linux has this call.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != launcher:
            os._exit(1)  # the launcher had ended before the call


def _report_late() -> None:
    """Delays the traceback of an error, so that the launcher reports first."""
    report = sys.excepthook

    def late(*error):
        wait_for_launcher()
        report(*error)

    sys.excepthook = late


def wait_for_launcher() -> None:
    """Waits before an error is reported, in a process that `launch` started.

    If the error is a consequence of another worker's death, the launcher kills this process in the
    meantime and reports the cause in one line.
    """
    if LAUNCHER in os.environ:
        time.sleep(_SECONDS_TO_END)


def launch(workers: int) -> dict[str, Any]:
    """Starts this program as `workers` processes of one cluster and waits for them.

    Signals to this process are forwarded to the workers. When a worker dies the others are killed,
    since they would wait for it forever.

    Args:
        workers: number of processes.

    Returns:
        The result of the first worker: the JSON in the last line of its output.

    Raises:
        InputError: a worker failed; the message names it, and has its reason or says how to resume.
        Interrupted: the workers stopped because of a signal.
    """
    with contextlib.ExitStack() as stack:
        # Files, because a process waits while a pipe is full.
        written = [
            stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
            for _ in range(workers)
        ]
        _run([_start(*each) for each in zip(clusters(workers), written, strict=True)], written)
        return json.loads(_text(written[0]).splitlines()[-1])


def _run(processes: list[subprocess.Popen], written: Sequence[IO[str]]) -> None:
    """Waits for the processes, and forwards signals to them; raises as `launch` does."""

    def pass_on(kind, frame):
        received_signals.append(kind)
        for process in processes:
            process.send_signal(kind)

    received_signals: list[int] = []
    kinds = (signal.SIGTERM, signal.SIGINT)
    # Ignored ones, as in the background, stay ignored.
    handled = [kind for kind in kinds if signal.getsignal(kind) != signal.SIG_IGN]
    previous = {kind: signal.signal(kind, pass_on) for kind in handled}
    try:
        _wait(processes, written, received_signals)
    finally:
        for kind, handler in previous.items():
            signal.signal(kind, handler)
        for process in processes:
            process.kill()
            process.wait()
    if processes[0].returncode:
        raise Interrupted(
            "the workers have stopped; repeat the command to resume", received_signals[-1]
        )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind((_ADDRESS, 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def clusters(workers: int) -> list[dict[str, Any]]:
    """Returns the `TF_CONFIG` of each of `workers` processes on this machine, as dicts."""
    addresses = [f"{_ADDRESS}:{port}" for port in _free_ports(workers)]
    return [
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        for index in range(workers)
    ]


def of_worker(arguments: Sequence[str]) -> list[str]:
    """Returns a command line in which the strategy is `multiworker`, given once.

    Args:
        arguments: the command line, which may have another strategy.
    """
    kept, is_value = [], False
    for argument in arguments:
        flag = re.fullmatch("--?strategy(=.*)?", argument, re.DOTALL)
        if not flag and not is_value:
            kept.append(argument)
        is_value = flag is not None and flag[1] is None
    return [*kept, "--strategy=multiworker"]


def _start(cluster: dict, written: IO[str]) -> subprocess.Popen:
    """Starts a worker that writes its result, or if it is not the first its errors, to a file."""
    arguments = of_worker(sys.argv)
    first = cluster["task"]["index"] == 0
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "TF_CONFIG": json.dumps(cluster), LAUNCHER: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=written if first else subprocess.DEVNULL,
        stderr=None if first else written,
        start_new_session=True,  # Ctrl-C reaches only the launcher, which forwards it
    )


def _text(written: IO[str]) -> str:
    written.seek(0)
    return written.read()


def _wait(
    processes: list[subprocess.Popen], written: Sequence[IO[str]], received_signals: list[int]
) -> None:
    running = dict(enumerate(processes))
    while running:
        for index, process in list(running.items()):
            status = process.poll()
            if status is not None and -status in received_signals:
                return  # killed before there was anything to save, so no worker has saved
            if status is not None and status - 128 in received_signals:
                status = 0  # it stopped because of the forwarded signal
            if status:
                if index:  # what the first wrote is on the terminal
                    _raise_reason(f"worker {index} of {len(processes)}", _text(written[index]))
                name = signal.Signals(-status).name if status < 0 else f"status {status}"
                raise InputError(
                    f"worker {index} of {len(processes)} ended with {name}, so the run has ended; "
                    "repeat the command to resume from the last checkpoint"
                )
            if status == 0:
                del running[index]
        time.sleep(0.1)


def _raise_reason(worker: str, errors: str) -> None:
    """Raises `InputError` with the reason that a worker gave; prints the traceback of a bug."""
    if found := re.findall("^error: (.+)", errors, re.MULTILINE):
        raise InputError(f"{worker}: {found[-1]}")
    _, traceback, rest = errors.partition("Traceback (most recent call last):")
    sys.stderr.write(traceback + rest)
