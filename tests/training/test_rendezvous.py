"""Workers that wait for each other, as threads of one process."""

import concurrent.futures
import json
import socket
import time

import pytest

from kerasbert import InputError
from kerasbert.training.launch import clusters
from kerasbert.training.rendezvous import name_workers, wait_for_workers

ENOUGH = 30


def addresses(count):
    return clusters(count)[0]["cluster"]["worker"]


@pytest.fixture
def start():
    """Starts a worker; returns its future."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        yield lambda *args, seconds=ENOUGH: pool.submit(wait_for_workers, *args, print, seconds)


def reason(worker):
    with pytest.raises(InputError) as error:
        worker.result(ENOUGH)
    return str(error.value)


def connect(address):
    host, port = address.split(":")
    limit = time.monotonic() + ENOUGH
    while True:
        try:
            return socket.create_connection((host, int(port)))
        except OSError:
            assert time.monotonic() < limit
            time.sleep(0.01)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_all_come(start, order):
    cluster = addresses(3)
    first = [start(cluster, index) for index in order[:2]]
    time.sleep(0.3)
    assert not any(worker.done() for worker in first)
    for worker in [*first, start(cluster, order[2])]:
        worker.result(ENOUGH)


def test_one_worker_waits_for_nobody(start):
    start(addresses(1), 0).result(ENOUGH)


def test_those_that_do_not_come_are_named(start):
    cluster = addresses(4)
    first, second = start(cluster, 0, seconds=1), start(cluster, 2)
    missing = f"workers 1 ({cluster[1]}), 3 ({cluster[3]}) of 4 did not come within 0.0167 minutes"
    assert missing in reason(first)
    assert reason(second) == (
        f"worker 0 ({cluster[0]}) of 4 ended before all workers had come; it says why"
    )


def test_the_first_does_not_come(start):
    cluster = addresses(2)
    assert f"worker 0 ({cluster[0]}) of 2 did not come" in reason(start(cluster, 1, seconds=0.5))


def test_who_is_waited_for_is_logged(monkeypatch):
    monkeypatch.setattr("kerasbert.training.rendezvous._SECONDS_UNTIL_LOGGED", 0.1)
    cluster, lines = addresses(2), []
    with pytest.raises(InputError):
        wait_for_workers(cluster, 0, lines.append, 1)
    assert lines == [f"waiting for worker 1 ({cluster[1]}) of 2"]


def test_a_worker_of_another_cluster(start):
    """One host still has the TF_CONFIG of when there were four."""
    four = addresses(4)
    first, third = start(four[:3], 0), start(four, 2)
    assert reason(third) == (
        f"worker 2: its TF_CONFIG has the workers {four}, that of worker 0 has {four[:3]}"
    )
    for worker in [start(four[:3], 1), start(four[:3], 2), first]:
        worker.result(ENOUGH)


def test_two_workers_with_one_index(start):
    cluster = addresses(3)
    first, second = start(cluster, 0), start(cluster, 1)
    time.sleep(0.5)
    assert "there is another worker 1" in reason(start(cluster, 1))
    for worker in [start(cluster, 2), first, second]:
        worker.result(ENOUGH)


def test_a_worker_that_died_while_it_waited_may_come_again(start):
    cluster = addresses(3)
    first = start(cluster, 0)
    with connect(cluster[0]) as dying:
        hello = json.dumps({"index": 1, "workers": cluster})
        dying.sendall(f"{hello}\n".encode())
    time.sleep(0.3)
    for worker in [start(cluster, 1), start(cluster, 2), first]:
        worker.result(ENOUGH)


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n\r\n", b"", b"[]\n", b"\xff\xfe\n", b"3\n"])
def test_strangers_are_ignored(start, line):
    cluster = addresses(2)
    first = start(cluster, 0)
    with connect(cluster[0]) as stranger:
        stranger.sendall(line)
    for worker in [start(cluster, 1), first]:
        worker.result(ENOUGH)


def test_the_port_is_taken(start):
    cluster = addresses(2)
    port = int(cluster[0].rpartition(":")[2])
    with socket.create_server(("", port)):
        assert f"TF_CONFIG: {cluster[0]}: can't listen there" in reason(start(cluster, 0))


@pytest.mark.parametrize("address", ["host", "host:", "host:http"])
def test_bad_addresses(start, address):
    assert f"TF_CONFIG: {address!r} is not host:port" in reason(start([address, "b:1"], 0))


def test_names():
    assert name_workers([1], ["a:1", "b:2"]) == "worker 1 (b:2) of 2"
    assert name_workers([0, 2], ["a:1", "b:1", "c:1"]) == "workers 0 (a:1), 2 (c:1) of 3"
