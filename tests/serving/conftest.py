import asyncio
import pathlib
import re
import threading

import pytest

from kerasbert import TextClassifier
from kerasbert.serving.server import run

CLASSES = ["bad", "good"]


@pytest.fixture(scope="session")
def export_classifier(tokenizer, tiny_backbone):
    """Returns a function that exports a classifier to a version directory."""

    def export(directory, classes=CLASSES, pair=False):
        backbone = tiny_backbone(tokenizer, initializer_range=0.5)
        task = TextClassifier(backbone, classes, tokenizer=tokenizer, pair=pair)
        task.export(directory, check=False)
        return pathlib.Path(directory)

    return export


class RunningServer:
    """A server in a thread of this process, for a directory or a dict of them by name."""

    def __init__(self, directory, name="mine", **settings):
        self.lines, self._started = [], threading.Event()
        self._settings = {"port": 0, "grpc_port": 0, "poll_seconds": 0.05, **settings}
        directories = {name: directory} if not isinstance(directory, dict) else directory
        self._thread = threading.Thread(target=self._run, args=(directories,))
        self._thread.start()
        assert self._started.wait(60)
        assert not hasattr(self, "error"), self.error
        self.rest, self.grpc = re.findall(r"\w+://[^\s,]+", self.lines[0])

    def _run(self, directories):
        async def serve():
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            settings = run.Settings(**self._settings)
            paths = {name: pathlib.Path(path) for name, path in directories.items()}
            self.result = await run.serve(paths, settings, self._stop, self._log)

        try:
            asyncio.run(serve())
        except Exception as error:
            self.error = error
        finally:
            self._started.set()

    def _log(self, line):
        self.lines.append(line)
        self._started.set()

    def stop(self):
        """Stops it as SIGTERM does, and returns its result."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(60)
        assert not hasattr(self, "error"), self.error
        return self.result


@pytest.fixture(scope="session")
def start_server():
    """Returns `RunningServer`; what it started is stopped at the end."""
    running = []

    def start(*arguments, **settings):
        running.append(RunningServer(*arguments, **settings))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def exported_classifier(export_classifier, tmp_path_factory):
    return export_classifier(tmp_path_factory.mktemp("exports") / "mine" / "7")


@pytest.fixture(scope="session")
def server(exported_classifier, start_server):
    return start_server(exported_classifier.parent, max_text_bytes=100_000, max_rows=100)
