"""Runs kerasbert's candidates from another checkout too, to compare two versions of the code.

This module imports no kerasbert, because a process can only hold one version.
"""

import dataclasses
import importlib
import pathlib
import sys

from benchmarks.timing import Candidate

_OURS = ("kerasbert", "benchmarks")
_WHERE_IT_WAS = "kerasbert.recipes.benchmark"


def beside(candidates: list[Candidate], checkout: str) -> list[Candidate]:
    """Adds a copy of each of kerasbert's candidates that runs another checkout, named "before"."""
    again = [
        dataclasses.replace(
            candidate,
            library=candidate.library.replace("kerasbert", "before"),
            build=build,
            arguments=(
                checkout,
                candidate.build.__module__,
                candidate.build.__name__,
                *candidate.arguments,
            ),
        )
        for candidate in candidates
        if candidate.library.split()[0] == "kerasbert"
    ]
    return [*candidates, *again]


def build(checkout: str, module: str, name: str, *arguments):
    """Builds a candidate from another checkout; the process must not have used this one's code."""
    for loaded in list(sys.modules):
        if loaded.split(".")[0] in _OURS:
            del sys.modules[loaded]
    sys.meta_path[:] = [x for x in sys.meta_path if type(x).__module__.split(".")[0] not in _OURS]
    scripts = pathlib.Path(checkout, "scripts")
    sys.path[:0] = [checkout, str(scripts)]
    if not (scripts / "benchmarks").is_dir():
        module = module.replace("benchmarks", _WHERE_IT_WAS, 1)
    return getattr(importlib.import_module(module), name)(*arguments)
