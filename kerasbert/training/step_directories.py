"""Directories that are named after a step, as `step-0000000120`: checkpoints and best models.

Others may keep files beside them, which are never removed.
"""

import contextlib
import pathlib
import re
import shutil

_COMPLETE = re.compile(r"step-\d{10}")
#: What a killed process leaves of one.
_UNFINISHED = re.compile(r"\.step-\d{10}\.(\d+\.(tmp|old)|lock)")


def path_of(parent: pathlib.Path, step: int) -> pathlib.Path:
    """Returns the path of a step's directory."""
    return parent / f"step-{step:010d}"


def newest_first(parent: pathlib.Path) -> list[pathlib.Path]:
    """Returns the complete directories, those of later steps first."""
    return sorted(_matching(parent, _COMPLETE), reverse=True)


def remove_unfinished(parent: pathlib.Path) -> None:
    """Removes what killed processes left."""
    for path in _matching(parent, _UNFINISHED):
        remove(path)


def remove_all(parent: pathlib.Path, but: pathlib.Path | None = None) -> None:
    """Removes the directories of all steps, and `parent` if nothing else is in it.

    Args:
        parent: path of the directory that contains them.
        but: the one that stays; None: all are removed.
    """
    remove_unfinished(parent)
    for path in newest_first(parent):
        if path != but:
            remove(path)
    with contextlib.suppress(OSError):  # something else is in it
        parent.rmdir()


def remove(path: pathlib.Path) -> None:
    """Removes one directory, or the file of its lock, as far as the system lets us."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def _matching(parent: pathlib.Path, pattern: re.Pattern[str]) -> list[pathlib.Path]:
    if not parent.is_dir():
        return []
    return [path for path in parent.iterdir() if pattern.fullmatch(path.name)]
