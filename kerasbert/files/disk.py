"""Writing to a disk that may be full, and flushing to disk."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
from collections.abc import Iterator

from kerasbert.errors import InputError

_MAX_REASON = 200  # maximum length in characters
_HIDDEN = re.compile(r"\.(?P<name>.+)\.(?:\d+\.(?P<replaced>tmp|old)|(?P<locked>lock))", re.DOTALL)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], *kinds: type[Exception]) -> Iterator[None]:
    """Converts exceptions while writing, such as a full disk, to `InputError`s.

    Args:
        path: path in the message.
        *kinds: exceptions of the writing library, in addition to `OSError`.
    """
    path = pathlib.Path(path)
    try:
        yield
    except (OSError, *kinds) as error:
        raise InputError(f"{path} can't be written: {_reason(error, path)}") from None


def _reason(error: Exception, path: pathlib.Path) -> str:
    """Returns the system's error message, without the texts that libraries add."""
    text = " ".join(str(error).split())
    if number := getattr(error, "errno", None):
        # `path` is written under temporary names, which are not mentioned.
        named = getattr(error, "filename", None)
        elsewhere = named is not None and path.name not in str(named)
        return os.strerror(number) + (f" ({named})" if elsewhere else "")
    reasons = map(os.strerror, errno.errorcode)
    return next((reason for reason in reasons if reason in text), text[:_MAX_REASON])


def hidden_sibling(path: pathlib.Path, ending: str) -> pathlib.Path:
    """Returns the hidden name of a path while it is written, locked or replaced."""
    return path.parent / f".{path.name}.{ending}"


def from_hidden(path: pathlib.Path) -> tuple[pathlib.Path, str]:
    """Returns the path that a hidden one is for, and `tmp`, `old` or `lock`; else `path` and ""."""
    if hidden := _HIDDEN.fullmatch(path.name):
        return path.with_name(hidden["name"]), hidden["replaced"] or hidden["locked"]
    return path, ""


def reserve(directory: pathlib.Path, size: int) -> None:
    """Raises `InputError` if a file system has less than `size` bytes left.

    It is used before calls of libraries that crash, instead of raising an exception, if a disk
    becomes full.
    """
    room = directory / ".room"
    try:
        with writing(directory), open(room, "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except (
                OSError,
                AttributeError,
            ) as error:  # may not be supported
                if getattr(error, "errno", None) not in (None, errno.EINVAL, errno.EOPNOTSUPP):
                    raise
    finally:
        with contextlib.suppress(OSError):
            room.unlink()


def move(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Renames a file or directory, and flushes the new name to disk."""
    with writing(target):
        os.rename(source, target)
        flush(pathlib.Path(target).parent)
        flush(pathlib.Path(source).parent)


def remove(path: pathlib.Path) -> None:
    """Removes a file, a link or a whole directory, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush_all(directory: pathlib.Path) -> None:
    """Flushes a directory and everything in it to disk."""
    for root, _, names in os.walk(directory):
        for name in names:
            flush(pathlib.Path(root, name))
        flush(pathlib.Path(root))


def flush(path: pathlib.Path) -> None:
    """Flushes a file, or the names in a directory, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems do not support it for directories.
        if not (path.is_dir() and error.errno == errno.EINVAL):
            raise
    finally:
        os.close(descriptor)
