"""Serving exports."""

import asyncio
import pathlib
import signal
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
    return asyncio.run(_serve(options))


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
    """Returns the model's name: that of the directory above the versions."""
    path = directory.resolve()
    return path.parent.name if (path / GRAPH).exists() else path.name
