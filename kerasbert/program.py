"""The start of the programs, what they print, and their end in one line on a signal.

This module imports almost nothing, because a signal causes a traceback until its handler is set.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

#: The signals that end a program.
SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: The environment variable with the process that started a worker.
LAUNCHER = "KERASBERT_LAUNCHER"


def run(
    recipe: str,
    package: str = "kerasbert.recipes",
    command: str | None = None,
    words: Sequence[str] | None = None,
) -> None:
    """Runs a program (see `kerasbert.cli.run`); on a signal, exits with 128 plus its number.

    Before the recipe is called, a signal ends the program at once. After that, it raises
    `KeyboardInterrupt`, so that incomplete output is removed; a second signal ends the program at
    once.

    Args:
        recipe: string, the name of a module and of its function, which takes the options.
        package: string, the package that contains this module and `options`, which defines the
            dataclass of the options.
        command: as in `kerasbert.cli.run`.
        words: as in `kerasbert.cli.run`.
    """
    terminal, received_signals = os.dup(2), []  # stderr is redirected during imports

    def end(kind, frame):
        os.write(terminal, f"stopped by {signal.Signals(kind).name}\n".encode())
        os._exit(128 + kind)

    def unwind(kind, frame):
        received_signals.append(kind)
        handle_signals(signal.SIG_DFL)
        raise KeyboardInterrupt

    # Workers keep the default action; their launcher handles and reports signals.
    handle_signals(signal.SIG_DFL if LAUNCHER in os.environ else end)
    cli = importlib.import_module("kerasbert.cli")
    try:
        options = options_class(recipe, package)
        cli.run(f"{package}.{recipe}", options, lambda: handle_signals(unwind), command, words)
    except SystemExit:
        if received_signals:  # already reported
            os._exit(128 + received_signals[0])
        raise
    except BaseException:
        if received_signals:
            sys.stdout.flush()
            end(received_signals[0], None)
        raise
    handle_signals(signal.SIG_IGN)  # the program is complete


def options_class(recipe: str, package: str = "kerasbert.recipes") -> type[Any]:
    """Returns the dataclass of a recipe's options."""
    name = "".join(part.capitalize() for part in recipe.split("_"))
    return getattr(importlib.import_module(f"{package}.options"), f"{name}Options")


def show(text: str) -> None:
    """Prints text to standard output, also where nobody reads it to its end, as in `| head`.

    What a program has done remains done, and after that the program prints nothing. On another
    error, such as a full disk, it ends with one line on stderr.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        # Python would flush again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            fail(f"standard output can't be written: {error.strerror}")


def fail(message: str) -> NoReturn:
    """Ends the program with one line on stderr."""
    from kerasbert.errors import one_line  # not before the signal handlers are set

    sys.stderr.write(f"error: {one_line(message)}\n")
    sys.exit(1)


def handle_signals(handler: Callable[..., Any] | signal.Handlers) -> None:
    """Sets the handlers of SIGINT and SIGTERM; ignored ones, as in the background, stay ignored."""
    for kind in SIGNALS:
        if signal.getsignal(kind) != signal.SIG_IGN:
            signal.signal(kind, handler)
