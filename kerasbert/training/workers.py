"""The workers of a run on several machines: connecting them, and errors when one is lost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.training.launch import wait_for_launcher
from kerasbert.training.progress import log
from kerasbert.training.rendezvous import name_workers, wait_for_workers

_SECONDS_TO_CONNECT = 120  # after all workers have started

# Names of the errors that TensorFlow raises if it can't reach another worker, and words in their
# messages.
_ERRORS = (
    "AbortedError",
    "CancelledError",
    "DeadlineExceededError",
    "FailedPreconditionError",
    "InternalError",
    "UnavailableError",
)
_ABOUT_WORKERS = re.compile("collective ops is aborted|grpc error|coordination ?service", re.I)
_TASK = re.compile(r"/job:worker/replica:0/task:(\d+)")


def connect() -> tf.distribute.MultiWorkerMirroredStrategy:
    """Waits until all workers of `TF_CONFIG` have started, and returns their strategy.

    Raises:
        InputError: `TF_CONFIG` is not set or is not a cluster, or a worker did not start in time.
    """
    wait_for_workers(*_cluster(), log)
    with _signals():
        return tf.distribute.MultiWorkerMirroredStrategy()


def _cluster() -> tuple[list[str], int]:
    """Returns the addresses of all workers, and the index of this process's worker."""
    cluster = os.environ.get("TF_CONFIG")
    if not cluster:
        raise InputError(
            "strategy multiworker needs TF_CONFIG, the cluster and this worker's place in it, as "
            "JSON; --workers=N sets it for N processes on this machine"
        )
    try:
        cluster_config = json.loads(cluster)
        jobs, task = cluster_config["cluster"], cluster_config["task"]
        addresses, index = jobs["worker"], task["index"]
        if not isinstance(addresses, list) or index not in range(len(addresses)):
            raise ValueError(f"no worker {index!r} in {addresses!r}")
        if len(jobs) > 1 or task["type"] != "worker":
            raise ValueError(f"all jobs must be workers, the first is the chief: {list(jobs)}")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"TF_CONFIG is not a cluster with a task in it ({error!r})") from None
    return addresses, index


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Sets a time limit while TensorFlow connects, and restores the signal handlers afterwards.

    TensorFlow holds the interpreter's lock while it connects, so if a worker is lost meanwhile,
    only the system's default action for SIGALRM can end this process. TensorFlow also installs its
    own handler for SIGTERM, which does not end the process.
    """
    kinds = (signal.SIGTERM, signal.SIGALRM)
    handlers = {kind: signal.getsignal(kind) for kind in kinds}
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_SECONDS_TO_CONNECT)
    try:
        yield
    finally:
        signal.alarm(0)
        for kind, handler in handlers.items():
            signal.signal(kind, handler)


@contextlib.contextmanager
def lost_workers_named(strategy: tf.distribute.MultiWorkerMirroredStrategy) -> Iterator[None]:
    """Converts TensorFlow's errors about other workers to one line that names these workers.

    Args:
        strategy: strategy of the workers.

    Raises:
        InputError: instead of TensorFlow's error.
    """
    try:
        yield
    except tuple(getattr(tf.errors, name) for name in _ERRORS) as error:
        if not _ABOUT_WORKERS.search(str(error)):
            raise
        wait_for_launcher()
        resolver = strategy.cluster_resolver
        addresses = resolver.cluster_spec().as_dict()["worker"]
        indices = lost_workers(str(error), resolver.task_id)
        lost = name_workers(indices, addresses) if indices else "another worker"
        raise InputError(
            f"{lost} ended or can't be reached, so this worker has ended too; to resume from the "
            "last checkpoint, repeat the command on all workers, or on fewer of them with a "
            "TF_CONFIG that has no others"
        ) from None


def lost_workers(message: str, own: int) -> list[int]:
    """Returns the indices of the lost workers that an error message of TensorFlow names.

    Args:
        message: error message.
        own: index of the worker that raised it.

    Returns:
        Sorted indices; empty if the message names no other worker.
    """
    _, _, silent = message.partition("stopped sending heartbeats")
    silent, _, _ = silent.partition("crashed")
    # Each worker that forwards an error appends its source, so the origin comes first.
    tasks = _TASK.findall(silent) or _TASK.findall(message)[:1]
    others = {int(task) for task in tasks} - {own}
    if not others and own and "Heartbeat" in message:
        return [0]  # all workers send their heartbeats to worker 0
    return sorted(others)
