"""Which outputs may be replaced: directories that kerasbert wrote, with nothing else in them."""

import os
import pathlib
from collections.abc import Callable, Collection, Iterator

from kerasbert.errors import InputError
from kerasbert.files.reading import exists, is_directory

#: Raises `InputError` for an existing output that must not be replaced.
Check = Callable[[pathlib.Path], None]


def refuse_elsewhere(path: str | os.PathLike[str]) -> None:
    """Raises `InputError` for an output that would not be where its name says.

    This is a URL, or a path with a `~` that was not expanded, as the shell leaves it after `=`.
    """
    name = os.fspath(path)
    if "://" in name:
        raise InputError(f"{path}: is a URL; this is written to a path of this machine only")
    first = next(iter(pathlib.PurePath(name).parts), "")
    if first.startswith("~") and not exists(first):
        raise InputError(
            f"{path}: begins with a ~ that was not expanded; write --output ~/... with a space, "
            "or $HOME (in Python, use os.path.expanduser)"
        )


def refuse_existing(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    check: Check | None = None,
    option: str = "overwrite=True",
) -> None:
    """Raises `InputError` if an output exists and must not be replaced.

    `refuse_elsewhere` is called, too.

    Args:
        path: path of the output.
        overwrite: whether to replace what exists.
        check: what refuses other directories than kerasbert's own, such as one that calls
            `check_own`; None: everything may be replaced, and messages do not offer it.
        option: how the caller's user sets `overwrite`, for messages.
    """
    refuse_elsewhere(path)
    if not exists(path):
        return
    if overwrite:
        if check is not None:
            check(pathlib.Path(path))
        return
    if check is not None and _passes(check, pathlib.Path(path)):
        raise InputError(f"{path} exists already; {option} replaces it, or choose another path")
    raise InputError(f"{path} exists already; choose another path or remove it")


def _passes(check: Check, path: pathlib.Path) -> bool:
    try:
        check(path)
    except InputError:
        return False
    return True


def check_own(
    directory: pathlib.Path,
    what: str,
    find: Callable[[pathlib.Path], Collection[pathlib.Path] | None],
) -> None:
    """Raises `InputError` unless kerasbert wrote a directory and all files in it.

    Args:
        directory: an existing path. An empty directory may be replaced.
        what: what kerasbert would have written, for the message, such as "a model".
        find: returns the files that kerasbert writes to such a directory; None: it is none.
    """
    if not is_directory(directory):
        raise InputError(f"{directory}: is a file, which is not replaced; choose another path")
    there = sorted(_all_files(directory))
    if not there:
        return
    own = find(directory)
    if own is None:
        raise InputError(
            f"{directory}: is not replaced, because it is not {what} that kerasbert wrote; choose "
            "another path or remove it"
        )
    for path in there:
        if path not in own:
            raise InputError(
                f"{directory}: is not replaced, because kerasbert did not write "
                f"{path.relative_to(directory)} in it; move that away, or choose another path"
            )


def _all_files(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields all that is inside, at any depth, except directories; links are not followed."""
    for folder, folders, names in os.walk(directory):
        for name in (*names, *folders):
            path = pathlib.Path(folder, name)
            if path.is_symlink() or not path.is_dir():
                yield path
