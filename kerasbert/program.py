"""How programs in `scripts/` start, and end in one line when a signal comes.

This imports next to nothing: until the handlers are there, a signal gets Python's traceback.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable

_KINDS = (signal.SIGINT, signal.SIGTERM)
#: What tells a worker process which process has started it.
LAUNCHER = "KERASBERT_LAUNCHER"


def run(recipe: str, package: str = "kerasbert.recipes") -> None:
    """Runs a program, see `kerasbert.cli.run`; a signal ends it with 128 more than its number.

    Until the recipe is called a signal ends the program at once. Then it raises
    `KeyboardInterrupt`, so that what is half-written is removed; a second one ends it at once.

    Args:
        recipe: the name of a module, and of its function, whose only argument are the options.
        package: where that module is, beside `options`, which has the dataclass of its options.
    """
    terminal, received_signals = os.dup(2), []  # imports turn standard error away

    def end(kind, frame):
        os.write(terminal, f"stopped by {signal.Signals(kind).name}\n".encode())
        os._exit(128 + kind)

    def unwind(kind, frame):
        received_signals.append(kind)
        signal.signal(kind, signal.SIG_DFL)
        raise KeyboardInterrupt

    # Workers do as their launcher says, which says so itself.
    _handle(signal.SIG_DFL if LAUNCHER in os.environ else end)
    cli = importlib.import_module("kerasbert.cli")
    try:
        cli.run(f"{package}.{recipe}", options_class(recipe, package), lambda: _handle(unwind))
    except SystemExit:
        if received_signals:  # and said
            os._exit(128 + received_signals[0])
        raise
    except BaseException:
        if received_signals:
            sys.stdout.flush()
            end(received_signals[0], None)
        raise
    _handle(signal.SIG_IGN)  # all is done


def options_class(recipe: str, package: str = "kerasbert.recipes") -> type:
    """The dataclass of a recipe's options."""
    name = "".join(part.capitalize() for part in recipe.split("_"))
    return getattr(importlib.import_module(f"{package}.options"), f"{name}Options")


def _handle(handler: Callable | signal.Handlers) -> None:
    """Sets what signals do; those that are ignored, as in the background, stay so."""
    for kind in _KINDS:
        if signal.getsignal(kind) != signal.SIG_IGN:
            signal.signal(kind, handler)
