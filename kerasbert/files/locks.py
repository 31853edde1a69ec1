"""Locks: one writer at a time for each output."""

import contextlib
import contextvars
import errno
import fcntl
import itertools
import os
import pathlib
import platform
import sys
import time
import warnings
from collections.abc import Collection, Iterator

from kerasbert.errors import InputError
from kerasbert.files.disk import from_hidden, hidden_sibling, remove, writing
from kerasbert.files.replacing import refuse_elsewhere

_MAX_HOLDER = 200  # maximum length in bytes
_MOST_ATTEMPTS = 1000  # of which one finds a directory that others remove and make
# The errors of file systems without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)
_HELD = contextvars.ContextVar("held", default=frozenset())  # the locks of this thread


@contextlib.contextmanager
def locked(
    path: str | os.PathLike[str], *, inside: Collection[str] = (), wait: bool = False
) -> Iterator[None]:
    """Context manager that prevents other threads and processes from writing an output.

    It locks a hidden file with the system's lock, so a terminated process holds no lock. Incomplete
    output of such processes is removed first.

    Args:
        path: path of the output, a file or a directory, which need not exist.
        inside: the names in `path` that are written, if it is a directory that is written
            gradually, such as a run directory. The lock and the incomplete output are then inside
            it, not next to it.
        wait: whether to wait until no other process has the lock.

    Raises:
        InputError: the output is being written by another process, can't be written, or is none of
            this machine, see `refuse_elsewhere`.
    """
    refuse_elsewhere(path)
    path = pathlib.Path(path)
    lock = path / ".lock" if inside else hidden_sibling(path, "lock")
    if (name := os.path.realpath(lock)) in _HELD.get():
        yield  # nested: this thread has the lock
        return
    made = [parent for parent in lock.parents if not os.path.exists(parent)]
    with writing(path):
        descriptor = _open_locked(path, lock, wait)
    try:
        if descriptor is not None:
            with writing(path):
                _remove_leftovers(lock.parent, inside or (path.name,))
        held = _HELD.set(_HELD.get() | {name})
        try:
            yield
        finally:
            _HELD.reset(held)
    finally:
        if descriptor is not None:
            if _is_open(descriptor, lock):
                lock.unlink()  # before closing, which releases the lock
            os.close(descriptor)
        for parent in made:  # removes empty directories of a failed output
            with contextlib.suppress(OSError):
                parent.rmdir()


def _open_locked(path: pathlib.Path, lock: pathlib.Path, wait: bool) -> int | None:
    """Opens and locks the lock file; returns None on a file system without locks."""
    for attempt in itertools.count(1):
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except (FileNotFoundError, FileExistsError):
            if attempt == _MOST_ATTEMPTS:  # until then, others remove the directory and make it
                raise
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _is_open(descriptor, lock):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _this_process().encode("utf-8", "replace"), 0)
                return descriptor
            os.close(descriptor)  # the previous holder has just removed the file
        except BlockingIOError:
            holder = os.pread(descriptor, _MAX_HOLDER, 0).decode("utf-8", "replace")
            os.close(descriptor)
            raise InputError(
                f"{path}: is being written by {holder or 'another process'}; wait until it has "
                "ended, or choose another path"
            ) from None
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(
                f"{path}: its file system has no locks; make sure that nothing else writes there",
                stacklevel=4,
            )
            return None


def _is_open(descriptor: int, path: pathlib.Path) -> bool:
    """Returns whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _this_process() -> str:
    program = pathlib.PurePath(sys.argv[0] or "python").name
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {platform.node()} ({program}, since {now})"


def _remove_leftovers(directory: pathlib.Path, names: Collection[str]) -> None:
    """Removes the incomplete output of terminated processes for these names.

    A directory that was renamed in order to be replaced is renamed back.
    """
    for path in list(directory.iterdir()):
        whole, kind = from_hidden(path)
        if kind not in ("tmp", "old") or whole.name not in names:
            continue
        if kind == "old" and not os.path.lexists(whole):
            os.rename(path, whole)
        else:
            remove(path)
