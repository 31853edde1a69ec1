"""Long work beside the event loop."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

#: The beginning of the names of threads that `serve` does not wait for longer than it may.
THREADS = "kerasbert-"


async def in_background(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function in a thread of its own, and returns its result.

    The server can stop meanwhile; it would wait for the threads of `asyncio.to_thread`.
    """
    result: concurrent.futures.Future[Any] = concurrent.futures.Future()
    result.set_running_or_notify_cancel()  # from here on, it can't be canceled

    def call():
        try:
            result.set_result(function(*arguments))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=call, name=f"{THREADS}load", daemon=True).start()
    return await asyncio.wrap_future(result)
