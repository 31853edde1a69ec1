"""What a run on several machines says and agrees on; tests/scripts has whole runs."""

import io
import itertools
import signal
import types

import pytest
import tensorflow as tf

from kerasbert import InputError
from kerasbert.training import agreement, launch
from kerasbert.training.agreement import Agreement
from kerasbert.training.launch import of_worker
from kerasbert.training.workers import lost_workers, lost_workers_named

# What TensorFlow 2.21 said where a worker was killed, cut off or stopped.
KILLED = (
    "Collective ops is aborted by: Socket closed\nAdditional GRPC error information from remote "
    "target /job:worker/replica:0/task:2 while calling /tensorflow.WorkerService/RecvBuf:\n"
    'UNKNOWN:Error received from peer {grpc_status:14, grpc_message:"Socket closed"}\n'
)
PASSED_ON = KILLED + (
    "Additional GRPC error information from remote target /job:worker/replica:0/task:0 while "
    "calling /tensorflow.WorkerService/RecvBuf:\n"
)
SILENT = (
    "Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are "
    "unhealthy (stopped sending heartbeats):\n/job:worker/replica:0/task:1\n"
    "/job:worker/replica:0/task:2\nThe tasks have crashed. Check the task logs\n"
    "Additional GRPC error information from remote target /job:worker/replica:0/task:0\n"
)
CUT_OFF = "Collective ops is aborted by: Deadline Exceeded\nRPC: /tensorflow.CoordinationService/"


@pytest.mark.parametrize(
    ("message", "own", "lost"),
    [
        (KILLED, 0, [2]),
        (PASSED_ON, 1, [2]),
        (SILENT, 0, [1, 2]),
        (SILENT, 3, [1, 2]),
        (CUT_OFF + "Heartbeat", 2, [0]),
        (CUT_OFF + "Heartbeat", 0, []),
        ("Collective ops is aborted by: Connection reset", 1, []),
    ],
)
def test_the_lost_worker_is_found(message, own, lost):
    assert lost_workers(message, own) == lost


def strategy(index, count):
    cluster = tf.train.ClusterSpec({"worker": [f"10.0.0.{i}:1" for i in range(count)]})
    resolver = types.SimpleNamespace(cluster_spec=lambda: cluster, task_id=index)
    return types.SimpleNamespace(cluster_resolver=resolver)


@pytest.mark.parametrize(
    ("message", "start"),
    [
        (KILLED, r"worker 2 \(10\.0\.0\.2:1\) of 3 ended or can't be reached, so this worker"),
        ("Collective ops is aborted by: EOF", "another worker ended or can't be reached"),
    ],
)
def test_a_lost_worker_is_one_line(message, start):
    with pytest.raises(InputError, match=start), lost_workers_named(strategy(1, 3)):
        raise tf.errors.UnavailableError(None, None, message)


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.InvalidArgumentError(None, None, "on /job:worker/replica:0/task:0"),
        tf.errors.InternalError(None, None, "on /job:worker/replica:0/task:0: out of memory"),
        ValueError("Collective ops is aborted"),
    ],
)
def test_other_errors_stay(error):
    with pytest.raises(type(error)) as raised, lost_workers_named(strategy(0, 2)):
        raise error
    assert raised.value is error


@pytest.fixture
def agree(monkeypatch):
    """An `Agreement` of the first worker, whose others have nothing to say, and its clock."""
    now = [0.0]
    monkeypatch.setattr(agreement.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(agreement, "_sum_over_workers", lambda strategy: lambda values: values)
    monkeypatch.setattr(agreement, "is_chief", lambda strategy: True)
    one = Agreement(tf.distribute.get_strategy())
    one.has_workers = True
    return one, now


@pytest.mark.parametrize(("seconds_per_step", "most"), [(0.001, 12), (0.1, 60), (2.0, 400)])
def test_workers_agree_about_once_a_second(agree, seconds_per_step, most):
    agreement, now = agree
    times = []
    for step in range(1, 401):
        now[0] += 30 if step == 1 else seconds_per_step  # the first is traced
        if agreement.is_due(step):
            assert agreement.reach(step, 0, False, True) == (0, False, True)
            times.append(now[0])
    assert len(times) <= most
    assert max(b - a for a, b in itertools.pairwise(times)) <= max(1, seconds_per_step)


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT, 0])
def test_workers_agree_on_a_signal(agree, kind):
    agreement, _ = agree
    assert agreement.reach(1, kind, False) == (int(kind), False)


def test_one_worker_agrees_with_itself_at_every_step():
    agreement = Agreement(tf.distribute.get_strategy())
    for step in (1, 2, 7):
        assert agreement.is_due(step)
        assert agreement.reach(step, signal.SIGINT, True) == (signal.SIGINT, True)


@pytest.mark.parametrize(
    "typed",
    [
        ["run", "--workers", "2"],
        ["run", "--strategy", "multiworker", "--workers", "2"],
        ["run", "--strategy=multiworker", "--workers", "2"],
        ["run", "--workers", "2", "-strategy=multiworker"],
    ],
)
def test_workers_get_one_strategy(typed):
    """A flag with one value may be given only once."""
    assert of_worker(typed) == ["run", "--workers", "2", "--strategy=multiworker"]


def test_a_cluster_and_workers_of_this_machine(monkeypatch):
    monkeypatch.delenv("KERASBERT_LAUNCHER", raising=False)
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert launch.spread(1) is None
    with pytest.raises(InputError, match=r"^--workers=2 starts .*, but TF_CONFIG is set already"):
        launch.spread(2)


def test_a_signal_that_is_ignored_is_not_passed_on():
    def poll():
        handlers.extend(map(signal.getsignal, (signal.SIGINT, signal.SIGTERM)))
        return 0

    handlers = []
    done = types.SimpleNamespace(poll=poll, kill=lambda: None, wait=lambda: None, returncode=0)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        launch._run([done], [io.StringIO()])
    finally:
        signal.signal(signal.SIGINT, before)
    assert handlers[0] == signal.SIG_IGN
    assert callable(handlers[1])


def test_the_traceback_of_another_worker_is_printed(capsys):
    traceback = "Traceback (most recent call last):\n  in x\nKeyError: 'a'\n"
    launch._raise_reason("worker 1 of 2", f"a note\n{traceback}")
    assert capsys.readouterr().err == traceback
    launch._raise_reason("worker 1 of 2", "a note\n")
    assert capsys.readouterr().err == ""
