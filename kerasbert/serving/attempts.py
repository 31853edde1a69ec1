"""How long and how often the clients of servers try."""

import numbers
from typing import Any

from kerasbert.errors import InputError, shown

_LONGEST = 1_000_000  # seconds; the system's calls take no more than two million


def checked(timeout: Any, retries: Any) -> tuple[float | None, int]:
    """Returns a time-out, where None is no limit, and a number of retries.

    Raises:
        InputError: one of them is no number, or out of range.
    """
    if timeout is not None and not (_is(numbers.Real, timeout) and 0 < timeout <= _LONGEST):
        raise InputError(
            f"timeout must be above 0 and at most {_LONGEST:,} seconds, or None for no limit, "
            f"found {shown(timeout)}"
        )
    if not (_is(numbers.Integral, retries) and retries >= 0):
        raise InputError(f"retries must be a whole number from 0 on, found {shown(retries)}")
    return None if timeout is None else float(timeout), int(retries)


def _is(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
