"""Tests `kerasbert serve` under load: errors, memory, a SIGKILL, a new version, and its speed."""

import collections
import concurrent.futures
import contextlib
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import urllib3

from benchmarks.options import ServeStressOptions
from benchmarks.running_server import SCRIPTS, START_SECONDS, Server, environment, serving
from kerasbert import machine
from kerasbert.errors import InputError
from kerasbert.features import LIST_COLUMNS
from kerasbert.serving import GrpcClient, RestClient, SavedModelClient
from kerasbert.serving.client import find_version

_SHARE_OF_MISTAKES = 0.05
#: Before memory is compared, TensorFlow has stored what it keeps for each shape.
_WARM_UP_SHARE = 0.4
_AFTER_KILL = 160  # requests
_WARM_UP_SECONDS = 3.0  # of a turn
#: Requests that must be refused: what follows the model's URL, the body, and the status.
_MISTAKES = (
    (":predict", b"{", 400),
    (":predict", b'{"inputs": ["\xff"]}', 400),
    (":predict", b'{"inputs": {"no_such_input": ["a"]}}', 400),
    (":predict", b'{"inputs": ["' + b"x" * 300_000 + b'"]}', 400),
    (":predict", b'{"signature_name": "no_such_signature", "inputs": ["a"]}', 400),
    ("/versions/99:predict", b'{"inputs": ["a"]}', 404),
)


def serve_stress(options: ServeStressOptions) -> dict:
    """Asks a server with random strings and mistakes, and compares its speed with its model's.

    Returns:
        A dict with the processor, `soak` (`answered`, `refused`, `wrong`, `lost`, memory in MB) and
        `speed` (rows per second of every turn, and percentiles).
    """
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        version = find_version(options.saved_model)
        shutil.copytree(version, root / "mine" / "1")
        texts = root / "texts.txt"
        texts.write_text("\n".join(_words(options.seed)) + "\n")
        found = {"processor": machine.processor(), "cores": machine.available_cores()}
        if options.requests:
            found["soak"] = _soak(options, root / "mine")
            shutil.rmtree(root / "mine" / "2")
        if options.turns:
            found["speed"] = _speed(options, root / "mine", texts)
        return found


def _words(seed: int) -> list[str]:
    """Returns texts of 5 to 100 made-up words, mostly short."""
    chooser = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chooser.choices(letters, k=chooser.randint(2, 9))) for _ in range(2000)]
    lengths = [min(100, 5 + int(chooser.expovariate(1 / 25))) for _ in range(500)]
    return [" ".join(chooser.choices(words, k=length)) for length in lengths]


# === Errors and memory ===


def _soak(options: ServeStressOptions, folder: pathlib.Path) -> dict:
    """Asks with random strings and mistakes; meanwhile a version appears, and the server dies."""
    soak = _Soak(SavedModelClient(folder), options)
    memory = []
    with serving(folder) as server:
        ports = server.ports()
        warm_up = int(options.requests * _WARM_UP_SHARE)
        with _meanwhile(lambda: _add_version(folder, server.rest)):
            soak.ask(server, warm_up)
        for _ in range(4):
            memory.append(server.memory())
            soak.ask(server, options.requests // 4)
        memory.append(server.memory())
    with serving(folder, **ports) as server:
        soak.ask(server, _AFTER_KILL)
    return {
        **soak.counts,
        "memory": memory,
        "memory_growth": round(max(memory) / min(memory) - 1, 4),
    }


@contextlib.contextmanager
def _meanwhile(function) -> Iterator[None]:
    """Context during which a function runs in another thread; raises what it raises."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(function)
        yield
        done.result()


def _add_version(folder: pathlib.Path, url: str) -> None:
    """Adds a version with the same answers, and waits until it is served."""
    shutil.copytree(folder / "1", folder / ".2")
    (folder / ".2").rename(folder / "2")
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        states = urllib3.request("GET", url).json()["model_version_status"]
        if {one["version"]: one["state"] for one in states} == {"2": "AVAILABLE", "1": "END"}:
            return
        time.sleep(0.1)
    raise InputError("version 2 did not replace version 1")


class _Soak:
    """Requests with random strings, of which some are mistakes.

    Args:
        client: a client whose answers are right.
        options: numbers of clients and requests.
    """

    def __init__(self, client: SavedModelClient, options: ServeStressOptions):
        self._inputs = client.metadata["inputs"]
        if set(self._inputs) & set(LIST_COLUMNS):
            raise InputError("a model with lists of strings can't be tested under load")
        self._clients, self._seed = options.num_clients, options.seed
        chooser = random.Random(options.seed)
        lengths = (0, 3, 20, 200, 2000)
        samples = [
            "".join(chooser.choices("abc é中\x00\n🙂'", k=chooser.choice(lengths)))
            for _ in range(40)
        ]
        answers = client(**dict.fromkeys(self._inputs, samples))
        self._right = dict(zip(samples, answers, strict=True))
        #: `lost` were not answered; `wrong` had other answers or another status.
        self.counts = collections.Counter(answered=0, refused=0, wrong=0, lost=0)

    def ask(self, server: Server, requests: int) -> None:
        """Asks from all clients at the same time, without retries."""
        with concurrent.futures.ThreadPoolExecutor(self._clients) as pool:
            for counts in pool.map(
                lambda number: self._ask_some(server, number, requests // self._clients),
                range(self._clients),
            ):
                self.counts.update(counts)

    def _ask_some(self, server: Server, number: int, requests: int) -> collections.Counter:
        chooser = random.Random(f"{self._seed} {number}")
        urls, make = (server.rest, RestClient) if number % 2 else (server.grpc, GrpcClient)
        counts = collections.Counter()
        with make(urls, retries=0, timeout=120) as client:
            for _ in range(requests):
                is_mistake = chooser.random() < _SHARE_OF_MISTAKES
                try:
                    if is_mistake:
                        kind = self._make_mistake(server.rest, chooser)
                    else:
                        kind = self._ask_once(client, chooser)
                except InputError:  # refused
                    kind = "wrong"
                except (OSError, urllib3.exceptions.HTTPError):
                    kind = "lost"
                counts[kind] += 1
        return counts

    def _ask_once(self, client, chooser: random.Random) -> str:
        texts = chooser.choices([*self._right], k=chooser.choice([1, 1, 1, 2, 20]))
        answers = client(**dict.fromkeys(self._inputs, texts))
        right = [self._right[text] for text in texts]
        return "answered" if all(map(_near, answers, right)) else "wrong"

    def _make_mistake(self, url: str, chooser: random.Random) -> str:
        resource, body, status = chooser.choice(_MISTAKES)
        found = urllib3.request("POST", url + resource, body=body, retries=False, timeout=120)
        return "refused" if found.status == status and found.json()["error"] else "wrong"


def _near(answer: Mapping, right: Mapping) -> bool:
    """Whether numbers are equal up to rounding; other values may follow from them."""
    numbers = [name for name, value in right.items() if np.asarray(value).dtype.kind == "f"]
    return answer.keys() == right.keys() and all(
        np.shape(answer[name]) == np.shape(right[name])
        and np.allclose(answer[name], right[name], atol=1e-3)
        for name in numbers
    )


# === Speed ===


def _speed(options: ServeStressOptions, folder: pathlib.Path, texts: pathlib.Path) -> dict:
    """Measures the model alone and behind both APIs, in turns, from a process of the clients."""
    found = {"alone": [], "rest": [], "grpc": []}
    with serving(folder) as server:
        for _ in range(options.turns):
            found["alone"].append(_load_test(options, texts, "saved_model", folder))
            found["rest"].append(_load_test(options, texts, "url", server.rest))
            found["grpc"].append(_load_test(options, texts, "url", server.grpc))
    rows = {name: [one["rows_per_second"] for one in turns] for name, turns in found.items()}
    ratios = {
        name: [round(a / b, 3) for a, b in zip(rows[name], rows["alone"], strict=True)]
        for name in ("rest", "grpc")
    }
    return {
        "rows_per_second": rows,
        "of_the_model_alone": {name: statistics.median(ratio) for name, ratio in ratios.items()},
        "in_turns": ratios,
        "milliseconds": {name: [one["milliseconds"] for one in t] for name, t in found.items()},
        "p99_by_p50": {name: _tails(turns) for name, turns in found.items()},
        "errors": sum(sum(one["errors"].values()) for turns in found.values() for one in turns),
    }


def _tails(turns: Sequence[Mapping]) -> list[float]:
    return [round(one["milliseconds"]["p99"] / one["milliseconds"]["p50"], 2) for one in turns]


def _load_test(options: ServeStressOptions, texts: pathlib.Path, kind: str, model) -> dict:
    flags = {
        kind: model,
        "texts": texts,
        "num_clients": options.num_clients,
        "seconds": options.seconds,
        "warm_up_seconds": _WARM_UP_SECONDS,
    }
    words = [f"--{name}={value}" for name, value in flags.items()]
    ended = subprocess.run(
        [sys.executable, str(SCRIPTS / "load_test.py"), *words],
        capture_output=True,
        text=True,
        env=environment(),
    )
    if ended.returncode:
        raise InputError(f"load_test failed: {ended.stderr[-500:]}")
    return json.loads(ended.stdout)
