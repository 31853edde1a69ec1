"""Asks `kerasbert serve` from many clients while a new version appears and the server is killed.

Every answer must be right, or a refusal that is meant. Three quarters of the clients use REST, one
quarter gRPC. The server's memory must not grow. After half of the requests, a second version is put
into the model's directory, and no request may be lost; near the end, the server gets SIGKILL and is
started again, and clients ask again until it answers. Everything has a time limit: what hangs is
shown as stacks, and the program ends with status 2; with status 1 if an answer was wrong.

Example:
  python tests/serving/stress.py --requests 10000 --clients 16
  python tests/serving/stress.py --model saved_models/mine/1 --second saved_models/mine/2
"""

import argparse
import collections
import contextlib
import faulthandler
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # before TensorFlow is imported

import numpy as np
import stress_requests
import urllib3
from stress_clients import Clients

from kerasbert import Backbone, BackboneConfig, TextClassifier
from kerasbert.serving import SavedModelClient
from kerasbert.text import WordPieceTokenizer

_SERVE = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "serve.py"
_START_SECONDS = 120
_FEWEST_SAMPLES = 5
_SETTLED = 20  # seconds after a start in which connections may still fail
# What happens after which share of the requests.
_WARM, _NEW_VERSION, _KILL = 0.3, 0.55, 0.85
_LAST = 0.1  # of the requests, at least, after that


class Server:
    """The program in a process of its own, which can be started again on the same ports."""

    def __init__(self, folder: pathlib.Path, log: pathlib.Path):
        self._folder, self._log, self._ports = folder, log, (0, 0)
        self.process: Any = None
        self.rest = self.grpc = ""

    def start(self) -> None:
        """Starts it, and returns when it serves."""
        begin = self._log.stat().st_size if self._log.exists() else 0
        rest_port, grpc_port = self._ports
        flags = {"saved_model": self._folder, "port": rest_port, "grpc_port": grpc_port}
        words = [f"--{name}={value}" for name, value in flags.items()]
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                # On SIGABRT, it then prints the stacks of its threads.
                [sys.executable, "-X", "faulthandler", _SERVE, *words, "--poll_seconds=0.5"],
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _START_SECONDS
        while True:
            said = self._log.read_bytes()[begin:].decode()
            if found := re.search(r"(http://\S+) and (grpc://[^\s,]+)", said):
                break
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server does not start: {said[-2000:]}")
            time.sleep(0.05)
        self.rest, self.grpc = found[1], found[2]
        self._ports = tuple(int(re.findall(r":(\d+)/", url)[0]) for url in found.groups())

    def resident(self) -> int:
        """Returns the bytes of its memory."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def end(self, kind: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal, and waits until the process has ended; kills it if that takes long."""
        if self.process is None:
            return
        self.process.send_signal(kind)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def log(self) -> str:
        """Returns the end of what it printed."""
        return self._log.read_text(errors="replace")[-8_000:]


class Memory:
    """What the server's memory was, by phase."""

    def __init__(self):
        self.samples: dict[str, list[int]] = collections.defaultdict(list)

    def growth(self, phase: str) -> float | None:
        """Returns the median of the last quarter relative to that of the first; None: too few."""
        samples = self.samples[phase]
        quarter = len(samples) // 4
        if quarter < _FEWEST_SAMPLES:
            return None
        return float(np.median(samples[-quarter:]) / np.median(samples[:quarter]))


def main() -> int:
    """Runs this program."""
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the server ends, too
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        server = Server(directory / "mine", directory / "log")
        # Also if a thread never gives up the interpreter, or its end hangs.
        faulthandler.dump_traceback_later(given.seconds + 60, exit=True)
        watchdog = threading.Timer(given.seconds, _hang, (server,))
        watchdog.daemon = True
        watchdog.start()
        try:
            return _stress(given, directory, server)
        except Exception:
            print(server.log(), file=sys.stderr)
            raise
        finally:
            server.end()
            watchdog.cancel()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", help="a version directory; default: a tiny model is made")
    parser.add_argument("--second", help="the version that appears later; default: --model again")
    parser.add_argument("--requests", type=int, default=10_000, help="at least")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0, help="decides what is asked")
    parser.add_argument("--growth", type=float, default=0.05, help="of the memory, at most")
    parser.add_argument("--seconds", type=float, default=300, help="for everything")
    return parser.parse_args()


def _hang(server: Server) -> None:
    """Shows what this program and the server do, and ends both."""
    print("time is up; the stacks of this program and of the server:", file=sys.stderr)
    faulthandler.dump_traceback(all_threads=True)
    with contextlib.suppress(Exception):
        server.end(signal.SIGABRT)
    print(server.log(), file=sys.stderr, flush=True)
    os._exit(2)


def _stress(given: argparse.Namespace, directory: pathlib.Path, server: Server) -> int:
    versions = _versions(given, directory)
    known = stress_requests.texts(given.seed)
    answers = {
        number: SavedModelClient(path)(text=known) for number, path in enumerate(versions, start=1)
    }
    _install(versions[0], directory / "mine" / "1")
    server.start()
    clients = Clients(
        server,
        known,
        {1: answers[1]},
        clients=given.clients,
        seed=given.seed,
    )
    memory, phase, begin = Memory(), "warm-up", time.monotonic()
    for thread in clients.threads:
        thread.start()
    while any(thread.is_alive() for thread in clients.threads):
        share = clients.done / given.requests
        memory.samples[phase].append(server.resident())
        if phase == "warm-up" and share > _WARM:
            phase = "first version"
        elif phase == "first version" and share > _NEW_VERSION:
            clients.answers = answers
            _install(versions[1], directory / "mine" / "2")
            phase = "both versions"
        elif phase == "both versions" and _serves_second_only(server):
            clients.answers = {2: answers[2]}
            phase = "second version"
        elif phase == "second version" and share > _KILL:
            clients.fails_until = float("inf")
            server.end(signal.SIGKILL)
            server.start()
            clients.fails_until = time.monotonic() + _SETTLED
            clients.most = max(given.requests, clients.done + _LAST * given.requests)
            phase = "after SIGKILL"
        time.sleep(0.1)
    return _report(given, clients, memory, time.monotonic() - begin)


def _versions(given: argparse.Namespace, directory: pathlib.Path) -> list[pathlib.Path]:
    if given.model:
        return [pathlib.Path(path) for path in (given.model, given.second or given.model)]
    versions = []
    words = [*"abcdefghijklmnopqrstuvwxyz0123456789", ".", ",", "中", "国", "é", "🙂"]
    tokenizer = WordPieceTokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *(f"##{word}" for word in words)]
    )
    for number, classes in enumerate((["bad", "good"], ["no", "yes"]), start=1):
        config = BackboneConfig.from_preset(
            "bert_tiny",
            vocabulary_size=tokenizer.vocabulary_size,
            initializer_range=0.2 * number,
        )
        model = TextClassifier(Backbone(config), classes, tokenizer=tokenizer, sequence_length=64)
        versions.append(directory / f"export{number}")
        model.export(versions[-1], check=False)
    return versions


def _install(export: pathlib.Path, version: pathlib.Path) -> None:
    """Copies an export, which appears when it is complete."""
    new = version.with_name(f".{version.name}")
    shutil.copytree(export, new)
    new.rename(version)


def _serves_second_only(server: Server) -> bool:
    answer = urllib3.request("GET", server.rest, timeout=10, retries=False).json()
    states = {one["version"]: one["state"] for one in answer["model_version_status"]}
    return states == {"1": "END", "2": "AVAILABLE"}


def _report(given: argparse.Namespace, clients: Clients, memory: Memory, seconds: float) -> int:
    times = np.array([seconds for seconds, _ in clients.times])
    growth = {name: memory.growth(name) for name in ("first version", "second version")}
    grown = [
        f"{name}: memory grew to {n:.3f}"
        for name, n in growth.items()
        if n and n > 1 + given.growth
    ]
    problems = [*(f"{n} x {what}" for what, n in clients.problems.items()), *grown]
    rows = sum(rows for _, rows in clients.times)
    found = {
        "requests": clients.done,
        "seconds": round(seconds, 1),
        "rows_per_second": round(rows / seconds, 1),
        "milliseconds": {
            f"p{p}": round(float(np.percentile(times, p)) * 1e3, 1) for p in (50, 95, 99)
        },
        "answers": dict(clients.statuses),
        "memory_mb": {
            name: [round(s[0] / 1e6), round(s[-1] / 1e6)] for name, s in memory.samples.items()
        },
        "memory_growth": growth,
        "problems": problems,
    }
    print(json.dumps(found, indent=1))
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
