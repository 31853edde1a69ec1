"""The same side as another checkout of kerasbert has it: what a change of the code has changed.

Nothing here imports kerasbert, of which a process can hold only one.
"""

import dataclasses
import importlib
import pathlib
import sys

from benchmarks.timing import Candidate

_OURS = ("kerasbert", "benchmarks")
_WHERE_IT_WAS = "kerasbert.recipes.benchmark"


def beside(candidates: list[Candidate], checkout: str) -> list[Candidate]:
    """The sides, and each of kerasbert's again, of the other checkout: the team "before"."""
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
    """Calls a side's function of the other checkout, in a process that has used none of ours."""
    for loaded in list(sys.modules):
        if loaded.split(".")[0] in _OURS:
            del sys.modules[loaded]
    sys.meta_path[:] = [x for x in sys.meta_path if type(x).__module__.split(".")[0] not in _OURS]
    scripts = pathlib.Path(checkout, "scripts")
    sys.path[:0] = [checkout, str(scripts)]
    if not (scripts / "benchmarks").is_dir():
        module = module.replace("benchmarks", _WHERE_IT_WAS, 1)
    return getattr(importlib.import_module(module), name)(*arguments)
