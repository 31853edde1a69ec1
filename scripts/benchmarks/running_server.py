"""Runs the program `kerasbert serve` in a process of its own."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from kerasbert.errors import InputError

SCRIPTS = pathlib.Path(__file__).resolve().parents[1]
START_SECONDS = 120
_GREETING = re.compile(r"(http://\S+) and (grpc://[^,]+),")


class Server:
    """The program in a process of its own, with the URLs of its model."""

    def __init__(self, folder: pathlib.Path, **flags):
        flags = {"port": 0, "grpc_port": 0, "poll_seconds": 0.2, **flags}
        words = [f"--saved_model={folder}", *(f"--{key}={value}" for key, value in flags.items())]
        script = str(SCRIPTS / "serve.py")
        self._process = subprocess.Popen(
            [sys.executable, script, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        try:
            self.rest, self.grpc = self._urls()
        except BaseException:
            self.kill()
            raise
        # Otherwise the pipe is full one day, and the server waits.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def _urls(self) -> tuple[str, str]:
        end, seen = time.monotonic() + START_SECONDS, ""
        while time.monotonic() < end and (line := self._process.stderr.readline()):
            seen += line
            if match := _GREETING.search(line):
                return match[1], match[2]
        raise InputError(f"the server does not start: {seen[-500:]}")

    def memory(self) -> float:
        """Returns the resident memory in MB."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        return round(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024, 1)

    def ports(self) -> dict[str, str]:
        """Returns the flags that start another server at the same ports."""
        rest, grpc = (url.split(":")[2].split("/")[0] for url in (self.rest, self.grpc))
        return {"port": rest, "grpc_port": grpc}

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def serving(folder: pathlib.Path, **flags) -> Iterator[Server]:
    """Context with a server, which is killed at its end."""
    server = Server(folder, **flags)
    try:
        yield server
    finally:
        server.kill()


def environment() -> dict[str, str]:
    """Returns variables with which programs import this kerasbert."""
    paths = [str(SCRIPTS.parent), os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
