"""Several workers on one machine, to try `multiworker` out or to use every core."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time

from kerasbert.errors import InputError, Interrupted
from kerasbert.program import LAUNCHER

_ADDRESS = "127.0.0.1"
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_SECONDS_TO_END = 3  # that a launcher has to end the others when a worker dies


def spread(workers: int) -> dict | None:
    """Lets so many processes of this program do its work, if that is more than one.

    Returns:
        What `launch` does; None in a process that is to do the work itself.
    """
    if launcher := os.environ.get(LAUNCHER):
        _end_with(int(launcher))
        _report_late()
    if workers == 1 or "TF_CONFIG" in os.environ:
        return None
    return launch(workers)


def _end_with(launcher: int) -> None:
    """Ends this process when the one that started it is gone, or two jobs would write to a run.

    The kernel does it, for no thread of ours can: TensorFlow keeps the interpreter's lock while it
    waits for the other workers to come. Other systems than Linux have no such service.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != launcher:
            os._exit(1)  # it was gone before


def _report_late() -> None:
    """Lets the launcher report an error before this process does."""
    report = sys.excepthook

    def late(*error):
        wait_for_launcher()
        report(*error)

    sys.excepthook = late


def wait_for_launcher() -> None:
    """Waits before an error is shown: the launcher may know better where it comes from.

    When another worker dies, this one fails because of that. The launcher ends it then, and says in
    a line what happened.
    """
    if LAUNCHER in os.environ:
        time.sleep(_SECONDS_TO_END)


def launch(workers: int) -> dict:
    """Starts this program as `workers` processes of one cluster and waits for them.

    Signals to this process are passed on. When a worker dies the others are ended, since they would
    wait for it for good.

    Returns:
        The result of the first worker.

    Raises:
        InputError: a worker failed; the message says which and how to go on.
        Interrupted: the workers stopped because of a signal.
    """
    processes = [_start(cluster) for cluster in clusters(workers)]

    def pass_on(kind, frame):
        received_signals.append(kind)
        for process in processes:
            process.send_signal(kind)

    received_signals: list[int] = []
    previous = {kind: signal.signal(kind, pass_on) for kind in (signal.SIGTERM, signal.SIGINT)}
    try:
        _wait(processes, received_signals)
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
    return json.loads(processes[0].stdout.read().splitlines()[-1])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind((_ADDRESS, 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def clusters(workers: int) -> list[dict]:
    """`TF_CONFIG` of each of so many workers on this machine."""
    addresses = [f"{_ADDRESS}:{port}" for port in _free_ports(workers)]
    return [
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        for index in range(workers)
    ]


def _start(cluster: dict) -> subprocess.Popen:
    arguments = [*sys.argv, "--strategy=multiworker"]
    first = cluster["task"]["index"] == 0
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "TF_CONFIG": json.dumps(cluster), LAUNCHER: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if first else subprocess.DEVNULL,
        stderr=None if first else subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # the terminal's Ctrl-C reaches this process, which passes it on
    )


def _wait(processes: list[subprocess.Popen], received_signals: list[int]) -> None:
    running = dict(enumerate(processes))
    while running:
        for index, process in list(running.items()):
            status = process.poll()
            if status is not None and -status in received_signals:
                return  # it had nothing to keep, so the others have nothing either
            if status is not None and status - 128 in received_signals:
                status = 0  # it stopped as it was told
            if status:
                name = signal.Signals(-status).name if status < 0 else f"status {status}"
                raise InputError(
                    f"worker {index} of {len(processes)} ended with {name}, so the run has ended; "
                    "repeat the command to resume from the last checkpoint"
                )
            if status == 0:
                del running[index]
        time.sleep(0.1)
