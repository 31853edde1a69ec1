"""The clients of `stress.py`."""

import collections
import functools
import math
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import stress_requests
import urllib3

from kerasbert.errors import InputError
from kerasbert.serving import GrpcClient

_REQUEST_SECONDS = 30
_LONGEST_SECONDS = 150  # for a request that is sent again
_MISTAKES = 0.15  # of the requests
_LATER = (429, 503)  # the server is busy, and asks to send it again
_SHOWN = 20  # problems


class _BusyError(Exception):
    pass


class Clients:
    """Threads that ask until `most` requests are answered, and what came of them.

    Args:
        server: its `rest` and `grpc` are the URLs of the model.
        known: texts.
        answers: for each version that may answer, the right answer for each of the texts.
        clients: number of threads; every fourth uses gRPC.
        seed: seed for what is asked.
    """

    def __init__(
        self,
        server: Any,
        known: Sequence[str | bytes],
        answers: dict[int, list[dict]],
        *,
        clients: int,
        seed: int,
    ):
        self._server, self._seed, self._known = server, seed, known
        self._mistakes = stress_requests.mistakes()
        self._lock, self.most = threading.Lock(), math.inf
        self.done, self.statuses, self.problems = 0, collections.Counter(), collections.Counter()
        self.times: list[tuple[float, int]] = []  # seconds and rows
        #: For each version that may answer from now on, its answers.
        self.answers = answers
        #: Until when requests may fail and are sent again.
        self.fails_until = 0.0
        self.threads = [
            threading.Thread(target=self._run, args=(self._asker(number),), daemon=True)
            for number in range(clients)
        ]

    def _asker(self, number: int) -> Callable[[], None]:
        """Returns the function that asks one request of a client."""
        chooser = random.Random(f"{self._seed} {number}")
        if number % 4 == 3:
            client = GrpcClient(self._server.grpc, retries=0, timeout=_REQUEST_SECONDS)
            return functools.partial(self._ask_grpc, client, chooser)
        pool = urllib3.PoolManager(maxsize=1, retries=False, timeout=_REQUEST_SECONDS)
        return functools.partial(self._ask_rest, pool, chooser)

    def _run(self, ask: Callable[[], None]) -> None:
        while self.done < self.most:
            try:
                ask()
            except Exception as error:
                self._add_problem(f"{type(error).__name__}: {error}"[:300])
            with self._lock:
                self.done += 1

    def _ask_rest(self, pool: urllib3.PoolManager, chooser: random.Random) -> None:
        asked = stress_requests.valid(chooser, self._known)
        if chooser.random() < _MISTAKES:
            asked = chooser.choice(self._mistakes)
            if chooser.random() < 0.01:
                asked = stress_requests.largest()

        def send():
            url = self._server.rest + asked.path
            answer = pool.request("POST", url, body=asked.body)
            if answer.status in _LATER:
                raise _BusyError(answer.data)
            return answer.status, answer.data

        answers = dict(self.answers)
        (status, content), seconds = self._sent(send, urllib3.exceptions.HTTPError)
        answers |= self.answers  # a version that appeared meanwhile may answer, too
        problem = stress_requests.problem(asked, status, content, answers)
        self._count(f"rest {status}", problem, seconds, len(asked.rows))

    def _ask_grpc(self, client: GrpcClient, chooser: random.Random) -> None:
        if chooser.random() < _MISTAKES:
            too_long, too_many = ["x" * 262_145], ["a"] * 1_025
            texts = chooser.choice((too_long, too_many))

            def send():
                try:
                    return f"answered {len(client(text=texts))} rows"
                except InputError as error:
                    return str(error)

            said, seconds = self._sent(send, ConnectionError)
            problem = "" if re.search("at most [0-9,]+ are (read|taken)", said) else said
            self._count("grpc INVALID_ARGUMENT", problem, seconds, 0)
            return
        rows = stress_requests.valid(chooser, self._known).rows
        answers = dict(self.answers)
        texts = [self._known[row] for row in rows]
        found, seconds = self._sent(lambda: client(text=texts), ConnectionError)
        problem = stress_requests.wrong(rows, found, answers | self.answers)
        self._count("grpc OK", problem, seconds, len(rows))

    def _sent(self, send: Callable[[], Any], kind: type[Exception]) -> tuple[Any, float | None]:
        """Returns what comes back, and the seconds; None if the request was sent again.

        It is sent again if the server is busy, or while it may fail, after this kind of error.
        """
        begin, again = time.monotonic(), False
        while True:
            try:
                found = send()
                return found, None if again else time.monotonic() - begin
            except (kind, _BusyError) as error:
                is_meant = begin < self.fails_until or _is_busy(error)
                if not is_meant or time.monotonic() > begin + _LONGEST_SECONDS:
                    raise
                again = True
                time.sleep(0.2)

    def _count(self, status: str, problem: str, seconds: float | None, rows: int) -> None:
        with self._lock:
            self.statuses[status if seconds is not None else f"{status} when sent again"] += 1
            if rows and seconds is not None:
                self.times.append((seconds, rows))
        if problem:
            self._add_problem(problem)

    def _add_problem(self, problem: str) -> None:
        with self._lock:
            if problem not in self.problems and len(self.problems) < _SHOWN:
                print(f"problem: {problem}", file=sys.stderr, flush=True)
            self.problems[problem] += 1


def _is_busy(error: Exception) -> bool:
    return isinstance(error, _BusyError) or "RESOURCE_EXHAUSTED" in str(error)
