"""The workers of a run on several machines: how they meet, and what is said when one is lost."""

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

_SECONDS_TO_CONNECT = 120  # once all workers are there

# Of the errors that TensorFlow raises where it can't reach another worker: their names, and words
# that their messages have.
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
    """Waits until all workers of `TF_CONFIG` are there; returns the strategy of them all.

    Raises:
        InputError: there is no `TF_CONFIG`, it is not a cluster, or a worker does not come.
    """
    wait_for_workers(*_cluster(), log)
    with _signals():
        return tf.distribute.MultiWorkerMirroredStrategy()


def _cluster() -> tuple[list[str], int]:
    """The address of every worker, and which of them this process is."""
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
    """Undoes what TensorFlow does to signals while it connects.

    It keeps the interpreter's lock, so only the system can end this process if a worker is lost
    just then. And it takes SIGTERM for a handler of its own, which ends nothing.
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
    """While this lasts, an error of TensorFlow about other workers is one line that names them.

    Raises:
        InputError: in place of the error.
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
    """The workers that a message of TensorFlow is about, as far as it says.

    Args:
        message: of an error.
        own: the worker that has got it.
    """
    _, _, silent = message.partition("stopped sending heartbeats")
    silent, _, _ = silent.partition("crashed")
    # Each worker that passes an error on adds where it got it from, so the origin comes first.
    tasks = _TASK.findall(silent) or _TASK.findall(message)[:1]
    others = {int(task) for task in tasks} - {own}
    if not others and own and "Heartbeat" in message:
        return [0]  # to which all send theirs
    return sorted(others)
