"""Directories that are named after a step, as `step-0000000120`: checkpoints and best models.

Others may keep files beside them, which are never removed.
"""

import contextlib
import pathlib
import re
import shutil
from collections.abc import Collection

from kerasbert import files

_COMPLETE = re.compile(r"step-\d{10}")


def path_of(parent: pathlib.Path, step: int) -> pathlib.Path:
    """Returns the path of a step's directory."""
    return parent / f"step-{step:010d}"


def newest_first(parent: pathlib.Path) -> list[pathlib.Path]:
    """Returns the complete directories, those of later steps first."""
    complete = [path for path in _entries(parent) if _COMPLETE.fullmatch(path.name)]
    return sorted(complete, reverse=True)


def remove_unfinished(parent: pathlib.Path) -> None:
    """Removes what killed processes left."""
    for path in _entries(parent):
        whole, kind = files.from_hidden(path)
        if kind and _COMPLETE.fullmatch(whole.name):
            remove(path)


def remove_all(parent: pathlib.Path, but: Collection[pathlib.Path | None] = ()) -> None:
    """Removes the directories of all steps, and `parent` if nothing else is in it.

    Args:
        parent: path of the directory that contains them.
        but: those that stay.
    """
    remove_unfinished(parent)
    for path in newest_first(parent):
        if path not in but:
            remove(path)
    with contextlib.suppress(OSError):  # something else is in it
        parent.rmdir()


def remove(path: pathlib.Path) -> None:
    """Removes one directory, or the file of its lock, as far as the system lets us."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def _entries(parent: pathlib.Path) -> list[pathlib.Path]:
    return list(parent.iterdir()) if parent.is_dir() else []
