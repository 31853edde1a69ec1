"""Serving exports."""

import asyncio
import atexit
import os
import pathlib
import signal
import sys
import threading
from typing import Any

from kerasbert import lazy
from kerasbert.errors import InputError
from kerasbert.recipes.options import ServeOptions
from kerasbert.serving.signatures import GRAPH
from kerasbert.training.progress import log


def serve(options: ServeOptions) -> dict[str, Any]:
    """Serves exports until SIGTERM or SIGINT; returns the numbers of requests."""
    for module in ("starlette", "uvicorn", "grpc", "tensorflow_serving.apis.predict_pb2"):
        lazy.extra(module, "'kerasbert[serve]'")
    from kerasbert.serving.server import background

    requests = asyncio.run(_serve(options))
    if any(thread.name.startswith(background.THREADS) for thread in threading.enumerate()):
        atexit.register(_end)
    return requests


def _end() -> None:
    """Ends the process with threads that load or compute what was given up.

    The interpreter would end them amid TensorFlow's C++, which aborts the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


async def _serve(options: ServeOptions) -> dict:
    from kerasbert.serving.server import run  # imports the packages of the extra

    stop = asyncio.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(kind, stop.set)
    settings = run.Settings(
        host=options.host,
        port=options.port,
        grpc_port=options.grpc_port if options.grpc else None,
        batch_tokens=options.max_batch_tokens,
        queue_tokens=options.max_queue_tokens,
        num_threads=options.num_threads,
        max_request_bytes=options.max_request_bytes,
        max_text_bytes=options.max_text_bytes,
        max_rows=options.max_rows,
        poll_seconds=options.poll_seconds,
        stop_seconds=options.stop_seconds,
    )
    return {"requests": await run.serve(_directories(options), settings, stop, log)}


def _directories(options: ServeOptions) -> dict[str, pathlib.Path]:
    """Returns the directory of each model by its name."""
    directories: dict[str, pathlib.Path] = {}
    for directory in map(pathlib.Path, options.saved_model):
        name = options.name or _name(directory)
        if name in directories:
            raise InputError(
                f"{directory} and {directories[name]} would both be the model {name}; rename one "
                "of the directories"
            )
        directories[name] = directory
    return directories


def _name(directory: pathlib.Path) -> str:
    """Returns the model's name: that of the directory, or of the one above a numbered version."""
    path = directory.resolve()
    is_version = (path / GRAPH).exists() and path.name.isdecimal()
    name = (path.parent if is_version else path).name
    if not name:
        raise InputError(
            f"{directory}: has no name that the model could have; give one with --name"
        )
    return name
