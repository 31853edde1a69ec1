"""A server of an export, in a thread of the tests' process."""

import asyncio
import pathlib
import re
import threading

from kerasbert.serving.server import run


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
