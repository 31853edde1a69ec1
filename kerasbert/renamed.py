"""Deprecated names, which work with a warning for one more version."""

import functools
import warnings
from collections.abc import Callable
from typing import TypeVar, cast

_Function = TypeVar("_Function", bound=Callable)


def warn(old: str, new: str) -> None:
    """Warns of a deprecated name."""
    warnings.warn(
        f"{old} is now {new}; the old name will be removed in 0.3", FutureWarning, stacklevel=3
    )


def argument(old: str, new: str) -> Callable[[_Function], _Function]:
    """Returns a decorator that lets a function accept the argument `new` as `old`, too."""

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def call(*args, **kwargs):
            if old in kwargs:
                warn(old, new)
                if new in kwargs:
                    raise TypeError(f"{new} is given twice, also as {old}")
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return cast(_Function, call)

    return decorate
