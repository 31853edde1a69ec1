"""One writer at a time for each output."""

import contextlib
import contextvars
import errno
import fcntl
import os
import pathlib
import platform
import re
import sys
import time
import warnings
from collections.abc import Iterator

from kerasbert.errors import InputError
from kerasbert.files.disk import hidden_sibling, remove, writing

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.\d+\.(?P<kind>tmp|old)", re.DOTALL)
_MAX_HOLDER = 200  # bytes
# The errors of file systems without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)
_HELD = contextvars.ContextVar("held", default=frozenset())  # locks of this thread


@contextlib.contextmanager
def locked(path: str | os.PathLike, *, inside: bool = False) -> Iterator[None]:
    """While this lasts, no other thread or process writes an output: they get a line that says so.

    The lock is the system's on a hidden file, so a process that is gone holds none. What such a
    process has left half-written is removed first.

    Args:
        path: the output, a file or a directory; need not be there yet.
        inside: `path` is a directory that is written bit by bit, like that of a run. The lock is in
            it then, not beside it, and what is left half-written in it is removed.

    Raises:
        InputError: it is being written, or can't be.
    """
    path = pathlib.Path(path)
    lock = path / ".lock" if inside else hidden_sibling(path, "lock")
    if (name := os.path.realpath(lock)) in _HELD.get():
        yield  # what has the lock calls what takes it, too
        return
    made = [parent for parent in lock.parents if not os.path.exists(parent)]
    with writing(path):
        descriptor = _open_locked(path, lock)
    try:
        if descriptor is not None:
            with writing(path):
                _remove_leftovers(lock.parent, None if inside else path.name)
        held = _HELD.set(_HELD.get() | {name})
        try:
            yield
        finally:
            _HELD.reset(held)
    finally:
        if descriptor is not None:
            if _is_open(descriptor, lock):
                lock.unlink()  # before it is closed: until then nobody else has it
            os.close(descriptor)
        for parent in made:  # nothing is left of an output that has come to nothing
            with contextlib.suppress(OSError):
                parent.rmdir()


def _open_locked(path: pathlib.Path, lock: pathlib.Path) -> int | None:
    """Opens the file of a lock and gets the lock; None if the file system has none."""
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            if lock.parent.exists():
                raise
            continue  # another one has just removed the directory that it had made
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_open(descriptor, lock):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _this_process().encode("utf-8", "replace"), 0)
                return descriptor
            os.close(descriptor)  # the one who had the lock has just removed the file
        except BlockingIOError:
            holder = os.pread(descriptor, _MAX_HOLDER, 0).decode("utf-8", "replace")
            os.close(descriptor)
            raise InputError(
                f"{path}: is being written by {holder or 'another process'}; wait until that has "
                "ended, or choose another place"
            ) from None
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(
                f"{path}: its file system has no locks; see that nothing else writes there",
                stacklevel=4,
            )
            return None


def _is_open(descriptor: int, path: pathlib.Path) -> bool:
    """Whether it is this file that is open, not one that had its name before."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _this_process() -> str:
    program = pathlib.PurePath(sys.argv[0] or "python").name
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {platform.node()} ({program}, since {now})"


def _remove_leftovers(directory: pathlib.Path, name: str | None) -> None:
    """Removes what processes that are gone left half-written of `name`, or of any file.

    Where one had moved something away to replace it, that is put back.
    """
    for path in list(directory.iterdir()):
        left = _LEFTOVER.fullmatch(path.name)
        if left is None or name not in (None, left["name"]):
            continue
        if left["kind"] == "old" and not os.path.lexists(directory / left["name"]):
            os.rename(path, directory / left["name"])
        else:
            remove(path)
