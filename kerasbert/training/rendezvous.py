"""Waits until all workers of a cluster have started, before TensorFlow connects them.

TensorFlow would wait forever without a message, and hold the interpreter's lock, so that no signal
handler could run. Here missing workers are named, and the others end after a time limit.

Worker 0 listens at its address in the cluster until all workers have connected, and then leaves the
address to TensorFlow. Every other worker sends its index and addresses as a line of JSON, and
receives one line in reply.
"""

import contextlib
import json
import socket
import time
from collections.abc import Callable

from kerasbert.errors import InputError

_SECONDS = 600  # for all workers to start: machines of a cluster do not start at the same time
_SECONDS_UNTIL_LOGGED = 10
_SECONDS_BETWEEN_TRIES = 0.2
_SECONDS_TO_SPEAK = 5  # for a connected worker to send its line
_LONGEST_LINE = 100_000
_GO, _REFUSED = "go", "refused: "


def wait_for_workers(
    addresses: list[str], index: int, log: Callable[[str], None], seconds: float = _SECONDS
) -> None:
    """Returns when all workers of a cluster have called this.

    Args:
        addresses: "host:port" of every worker.
        index: index of this process's worker.
        log: function that receives a message if waiting takes long.
        seconds: time limit.

    Raises:
        InputError: a worker did not start in time, has ended, or has another `TF_CONFIG`.
    """
    patience = _Patience(addresses, seconds, log)
    if index:
        _report(addresses, index, patience)
    else:
        _gather(addresses, patience)


class _Patience:
    """A time limit for waiting; logs the missing workers once."""

    def __init__(self, addresses: list[str], seconds: float, log: Callable[[str], None]):
        self.addresses = addresses
        self.seconds = seconds
        self.log = log
        self.start = time.monotonic()
        self.logged = False

    def check(self, missing: list[int]) -> None:
        waited = time.monotonic() - self.start
        names = name_workers(missing, self.addresses)
        if waited > self.seconds:
            raise InputError(
                f"TF_CONFIG: {names} did not come within {self.seconds / 60:.3g} minutes; start "
                "all workers again, or leave out those that can't be reached"
            )
        if waited > _SECONDS_UNTIL_LOGGED and not self.logged:
            self.log(f"waiting for {names}")
            self.logged = True


def name_workers(indices: list[int], addresses: list[str]) -> str:
    """Returns a description of workers, such as "worker 1 (10.0.0.2:2222) of 4"."""
    names = ", ".join(f"{index} ({addresses[index]})" for index in indices)
    return f"worker{'s' * (len(indices) > 1)} {names} of {len(addresses)}"


# === Worker 0 ===


def _gather(addresses: list[str], patience: _Patience) -> None:
    waiting: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_listen(addresses[0]))
        while missing := [i for i in range(1, len(addresses)) if i not in waiting]:
            patience.check(missing)
            with contextlib.suppress(TimeoutError):
                connection, _ = server.accept()
                stack.enter_context(connection)
                for other in [i for i, one in waiting.items() if _has_ended(one)]:
                    del waiting[other]
                index = _welcome(connection, addresses, waiting)
                if index is not None:
                    waiting[index] = connection
        for connection in waiting.values():
            with contextlib.suppress(OSError):  # it has ended; TensorFlow will report it
                _send(connection, _GO)


def _listen(address: str) -> socket.socket:
    _, port = _split(address)
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise InputError(f"TF_CONFIG: {address}: can't listen there ({error.strerror})") from None
    server.settimeout(_SECONDS_BETWEEN_TRIES)
    return server


def _has_ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _welcome(connection: socket.socket, addresses: list[str], waiting: dict) -> int | None:
    """Returns the index of the connected worker; None: it is no worker, or is refused."""
    connection.settimeout(_SECONDS_TO_SPEAK)
    try:
        hello = json.loads(_receive(connection))
        index, cluster = hello["index"], hello["workers"]
    except (OSError, ValueError, LookupError, TypeError):
        return None  # not a worker, or it has ended
    reason = None
    if cluster != addresses:
        reason = f"its TF_CONFIG has the workers {cluster}, that of worker 0 has {addresses}"
    elif index in waiting:
        reason = f"TF_CONFIG: there is another worker {index}; each needs an index of its own"
    if reason is None:
        return index
    with contextlib.suppress(OSError):
        _send(connection, _REFUSED + reason)
    return None


# === Other workers ===


def _report(addresses: list[str], index: int, patience: _Patience) -> None:
    hello = json.dumps({"index": index, "workers": addresses})
    while True:
        patience.check([0])
        try:
            answer = _ask(addresses[0], hello, patience)
        except OSError:  # worker 0 does not listen yet
            answer = "?"
        if answer == _GO:
            return
        if answer.startswith(_REFUSED):
            raise InputError(f"worker {index}: {answer.removeprefix(_REFUSED)}")
        if not answer:
            raise InputError(
                f"{name_workers([0], addresses)} ended before all workers had come; it says why"
            )
        time.sleep(_SECONDS_BETWEEN_TRIES)  # not started yet, or another program listens there


def _ask(address: str, hello: str, patience: _Patience) -> str:
    with socket.create_connection(_split(address), timeout=_SECONDS_TO_SPEAK) as connection:
        _send(connection, hello)
        # Worker 0 usually reaches its time limit first, and names the missing workers.
        connection.settimeout(max(patience.start + patience.seconds - time.monotonic(), 1))
        return _receive(connection)


# === Both ===


def _split(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise InputError(f"TF_CONFIG: {address!r} is not host:port")
    return host.strip("[]"), int(port)


def _send(connection: socket.socket, line: str) -> None:
    connection.sendall(line.encode() + b"\n")


def _receive(connection: socket.socket) -> str:
    """Receives a line, or a part of it if the connection was closed."""
    received = b""
    while not received.endswith(b"\n") and len(received) < _LONGEST_LINE:
        part = connection.recv(4096)
        if not part:
            break
        received += part
    return received.decode("utf-8", "replace").removesuffix("\n")
