"""The processor of this machine, and what this process may use of it."""

import os
import platform
import re


def available_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Returns the name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    if found is None:  # or not an x86 processor
        return platform.processor() or platform.machine()
    return found[1].strip()
