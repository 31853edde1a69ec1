"""Benchmarks against other libraries, and checks that take long; not part of the installed package.

Programs in `scripts/` are run as files, so Python finds this package next to them.
"""

import os
import pathlib


def environment() -> dict[str, str]:
    """Returns the environment of a child process that can import this package."""
    paths = [str(pathlib.Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
