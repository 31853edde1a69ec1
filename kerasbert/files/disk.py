"""Writing to a disk that may be full, and returning when the bytes are on it."""

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Iterator

from kerasbert.errors import InputError

_MAX_REASON = 200  # characters


@contextlib.contextmanager
def writing(path: str | os.PathLike, *kinds: type[Exception]) -> Iterator[None]:
    """While this lasts, what can't be written (a full disk, say) is an `InputError`.

    Args:
        path: what the message names.
        *kinds: what the library that writes raises beside `OSError`.
    """
    path = pathlib.Path(path)
    try:
        yield
    except (OSError, *kinds) as error:
        raise InputError(f"{path} can't be written: {_reason(error, path)}") from None


def _reason(error: Exception, path: pathlib.Path) -> str:
    """What the system says, without the long texts that libraries put around it."""
    text = " ".join(str(error).split())
    if number := getattr(error, "errno", None):
        # `path` is written under other names, which say no more than its own.
        named = getattr(error, "filename", None)
        elsewhere = named is not None and path.name not in str(named)
        return os.strerror(number) + (f" ({named})" if elsewhere else "")
    reasons = map(os.strerror, errno.errorcode)
    return next((reason for reason in reasons if reason in text), text[:_MAX_REASON])


def hidden_sibling(path: pathlib.Path, ending: str) -> pathlib.Path:
    """The hidden name that a path has while it is written, locked or replaced."""
    return path.parent / f".{path.name}.{ending}"


def reserve(directory: pathlib.Path, size: int) -> None:
    """Raises `InputError` if a directory has no room for so many bytes.

    For libraries that do worse than raise an exception when a disk gets full.
    """
    room = directory / ".room"
    try:
        with writing(directory), open(room, "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except (
                OSError,
                AttributeError,
            ) as error:  # there may be no such thing
                if getattr(error, "errno", None) not in (None, errno.EINVAL, errno.EOPNOTSUPP):
                    raise
    finally:
        with contextlib.suppress(OSError):
            room.unlink()


def move(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Renames a file or directory, and returns when the disk has it under its new name."""
    with writing(target):
        os.rename(source, target)
        flush(pathlib.Path(target).parent)
        flush(pathlib.Path(source).parent)


def remove(path: pathlib.Path) -> None:
    """Removes a file, a link or a whole directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush_all(directory: pathlib.Path) -> None:
    """Returns when the disk has a directory and all that is in it."""
    for root, _, names in os.walk(directory):
        for name in names:
            flush(pathlib.Path(root, name))
        flush(pathlib.Path(root))


def flush(path: pathlib.Path) -> None:
    """Returns when the disk has a file, or the names that a directory holds."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems keep no directories of their own.
        if not (path.is_dir() and error.errno == errno.EINVAL):
            raise
    finally:
        os.close(descriptor)
