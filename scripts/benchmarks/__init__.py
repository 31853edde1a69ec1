"""Measurements beside other people's programs, and checks that take long; not installed.

The programs in `scripts/` are started as files, so this package is found beside them.
"""

import os
import pathlib


def environment() -> dict[str, str]:
    """The variables of a process that imports this package, too."""
    paths = [str(pathlib.Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
