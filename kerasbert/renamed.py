"""Old names that people may still use: they work for one version more, and say what is new."""

import functools
import warnings
from collections.abc import Callable


def warn(old: str, new: str) -> None:
    """Warns of an old name where it is used."""
    warnings.warn(f"{old} is now {new}; the old name goes in 0.3", FutureWarning, stacklevel=3)


def argument(old: str, new: str) -> Callable[[Callable], Callable]:
    """Makes a function take the argument `old` as `new`."""

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*args, **kwargs):
            if old in kwargs:
                warn(old, new)
                if new in kwargs:
                    raise TypeError(f"{new} is given twice: as {old}, too")
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
