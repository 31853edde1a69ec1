"""Starts and stops a server."""

import asyncio
import contextlib
import dataclasses
import pathlib
import re
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import uvicorn

from kerasbert.errors import InputError
from kerasbert.serving.server import grpc, http
from kerasbert.serving.server.background import in_background
from kerasbert.serving.server.batching import Batcher
from kerasbert.serving.server.metrics import Gauge, Metrics
from kerasbert.serving.server.models import Models
from kerasbert.serving.server.service import Service
from kerasbert.serving.server.versions import Versions

_LOOPBACK = re.compile(r"127\.|localhost$|::1$")
_BACKLOG = 2048
_LEAST_SECONDS = 1.0  # for the threads of batches, which may have nothing left to do


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Addresses and limits of a server; `ServeOptions` describes them."""

    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int | None = 8500
    batch_tokens: int = 4096
    queue_tokens: int = 262_144
    num_threads: int = 2
    max_request_bytes: int = 8 * 2**20
    max_text_bytes: int = 262_144
    max_rows: int = 1024
    poll_seconds: float = 1.0
    stop_seconds: int = 30


async def serve(
    directories: Mapping[str, pathlib.Path],
    settings: Settings,
    stop: asyncio.Event,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Serves models until `stop` is set, then answers what was accepted, and returns.

    Args:
        directories: for the name of each model a directory of numbered versions, or one version.
        settings: addresses and limits.
        stop: event that ends the server.
        log: function that prints a line.

    Returns:
        The numbers of requests, by API and status.

    Raises:
        InputError: there is no model, or a port is in use.
    """
    address = settings.host, settings.port
    with _bound(*address) as listener:
        metrics = Metrics()
        models = await _unless_stopped(stop, in_background(_loaded, directories, log))
        if models is None:
            log("stopped before the models were loaded")
            return metrics.requests.totals()
        batcher = Batcher(
            metrics, settings.batch_tokens, settings.queue_tokens, settings.num_threads
        )
        metrics.add(
            Gauge(
                "kerasbert_version",
                "The version that is served.",
                lambda: {(name,): one.version for name, one in models.by_name.items()},
                ("model",),
            )
        )
        service = Service(
            models,
            batcher,
            metrics,
            max_text_bytes=settings.max_text_bytes,
            max_rows=settings.max_rows,
        )
        rpc, port = await _started_grpc(service, settings)
        rest = _Rest(http.app(service, settings.max_request_bytes), settings)
        # Not before: to a port that takes connections, a load balancer sends requests.
        with _in_one_line(*address):
            listener.listen(_BACKLOG)
        rest_port = listener.getsockname()[1]
        for name, one in models.by_name.items():
            log(_greeting(name, one.version, settings.host, rest_port, port))
        log(f"http://{_bracketed(settings.host)}:{rest_port}/ has a page to ask in a browser")
        running = asyncio.create_task(rest.serve(sockets=[listener]))
        watching = asyncio.create_task(models.watch(settings.poll_seconds))
        failed = await _first_failure(stop, running, watching)
        log("stopping: answering the requests that were accepted")
        end = time.monotonic() + settings.stop_seconds
        rest.should_exit = True
        stopping = [running, *([rpc.stop(settings.stop_seconds)] if rpc else [])]
        ended = await asyncio.gather(*stopping, return_exceptions=True)
        watching.cancel()
        left = max(_LEAST_SECONDS, end - time.monotonic())
        await asyncio.to_thread(batcher.close, left)
        for error in (failed, *ended):
            if isinstance(error, BaseException):
                raise error
        return metrics.requests.totals()


def _loaded(directories: Mapping[str, pathlib.Path], log: Callable[[str], None]) -> Models:
    return Models(Versions(directory, name, log) for name, directory in directories.items())


async def _unless_stopped(stop: asyncio.Event, work: Coroutine) -> Any:
    """Returns the result of some work; None if `stop` is set before."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        return None
    return working.result()


async def _first_failure(stop: asyncio.Event, *tasks: asyncio.Task) -> BaseException | None:
    """Waits until `stop` is set, or until a task fails, whose exception is returned."""
    stopping = asyncio.create_task(stop.wait())
    left = {stopping, *tasks}
    while stopping in left:
        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception():
                stopping.cancel()
                return task.exception()
    return None


class _Rest(uvicorn.Server):
    """uvicorn without its own handlers of signals."""

    def __init__(self, app, settings: Settings):
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,  # its own would close the handlers of others, with their files
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=settings.stop_seconds,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _started_grpc(service: Service, settings: Settings) -> tuple:
    if settings.grpc_port is None:
        return None, None
    rpc = grpc.server(service, settings.max_request_bytes)
    address = f"{_bracketed(settings.host)}:{settings.grpc_port}"
    try:
        port = rpc.add_insecure_port(address)
    except RuntimeError as error:
        raise InputError(f"{address}: gRPC can't listen there ({error})") from None
    await rpc.start()
    return rpc, port


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Context with a socket that has an address, and refuses connections; port 0 is a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off for sockets that say they are TCP; with it, an answer's
    # body waits for the client to acknowledge its headers, about 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _in_one_line(host, port):
            listener.bind((host, port))
        yield listener


@contextlib.contextmanager
def _in_one_line(host: str, port: int) -> Iterator[None]:
    """Context in which an address that is in use, or none of this machine, is an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{host}:{port}: can't listen there ({error.strerror})") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _greeting(name: str, version: int, host: str, port: int, grpc_port: int | None) -> str:
    name = quote(name, safe="")
    rest = f"http://{_bracketed(host)}:{port}/v1/models/{name}"
    rpc = f" and grpc://{_bracketed(host)}:{grpc_port}/{name}" if grpc_port else ""
    if _LOOPBACK.match(host):
        who = "for this machine only; --host 0.0.0.0 opens it to others"
    else:
        who = "open to the network, without authentication"
    return f"serving version {version} at {rest}{rpc}, {who}"
