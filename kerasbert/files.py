"""Files and directories that are either complete or absent."""

import contextlib
import contextvars
import ctypes
import errno
import fcntl
import gzip
import hashlib
import json
import math
import os
import pathlib
import platform
import re
import shutil
import stat
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Iterator
from typing import TextIO

from kerasbert import schema
from kerasbert.errors import UNPRINTABLE, InputError

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.\d+\.(?P<kind>tmp|old)", re.DOTALL)
_LONGEST_REASON = 200
# What a file system says that has no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF)
_HELD = contextvars.ContextVar("held", default=frozenset())  # locks of this thread
_HERE, _RENAME_EXCHANGE = -100, 2  # AT_FDCWD and of <linux/fs.h>
_OF_PATTERNS = "[\\*?"


def sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ending(path: str | os.PathLike) -> str:
    """The last part of a file's name, such as ".tsv", whether or not ".gz" follows it."""
    path = pathlib.PurePath(path)
    return pathlib.PurePath(path.stem).suffix if path.suffix == ".gz" else path.suffix


@contextlib.contextmanager
def open_text(path: str | os.PathLike, newline: str | None = None) -> Iterator[TextIO]:
    """Opens a UTF-8 file to read; unpacks `.gz`, and leaves a byte order mark out.

    Args:
        path: the file.
        newline: as in Python's `open`.

    Raises:
        InputError: while it is open, too: the file can't be read or unpacked, or is not UTF-8.
    """
    try:
        unpack = gzip.open if pathlib.PurePath(path).suffix == ".gz" else open
        with unpack(path, "rt", encoding="utf-8-sig", newline=newline) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be read: {reason}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None


@contextlib.contextmanager
def without_patterns(path: str | os.PathLike) -> Iterator[str]:
    r"""A path to the same place for TensorFlow, which takes `[` and `\` for parts of a pattern.

    Where the path has none of them, it is that path.

    Args:
        path: a directory, or what the names of several files begin with.
    """
    path = pathlib.Path(path)
    if not any(character in str(path) for character in _OF_PATTERNS):
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as directory:
        plain = pathlib.Path(directory, "link")
        for sibling in path.parent.absolute().iterdir():
            if sibling.name.startswith(path.name):
                plain.with_name(plain.name + sibling.name.removeprefix(path.name)).symlink_to(
                    sibling
                )
        yield str(plain)


def sha256_of_all(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file, or of the names and contents of all files in a directory."""
    path = pathlib.Path(path)
    if not path.is_dir():
        return sha256(path)
    inside = sorted(file for file in path.rglob("*") if file.is_file())
    listed = "".join(f"{sha256(file)} {file.relative_to(path).as_posix()}\n" for file in inside)
    return hashlib.sha256(os.fsencode(listed)).hexdigest()


def exists(path: str | os.PathLike) -> bool:
    """Whether there is something at a path.

    Raises:
        InputError: the system can't say, of a name that is too long, say.
    """
    return _mode(path) is not None


def is_directory(path: str | os.PathLike) -> bool:
    """Whether there is a directory at a path; raises as `exists` does."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: str | os.PathLike) -> int | None:
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # a ValueError is about NUL in a name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be used: {reason}") from None


def check_file(path: str | os.PathLike) -> None:
    """Raises `InputError` for a directory, and for pipes and devices, which need never end."""
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "directory" if os.path.isdir(path) else "pipe or a device"
        raise InputError(f"{path}: is a {kind}, not a file")


def read_json(path: str | os.PathLike, kind=dict):
    """Reads a JSON file and checks what it holds.

    Args:
        path: the file.
        kind: what it must hold, as `kerasbert.schema` says it; an object unless given.

    Raises:
        InputError: the file is missing or malformed, or holds something else.
    """
    check_file(path)
    try:
        data = pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    return schema.parse(data, path, kind)


def to_json(value) -> str:
    """JSON on one line; NaN and infinities, for which JSON has no numbers, are null."""
    return _json(value)


def _json(value, indent: int | None = None) -> str:
    text = json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False, indent=indent)
    # Ends of lines are those of the indentation: others are escaped already.
    return UNPRINTABLE.sub(lambda c: c[0] if c[0] == "\n" else f"\\u{ord(c[0]):04x}", text)


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def own_sha256(value: dict) -> str:
    """The SHA-256 of all that an object of JSON says but its own "sha256"."""
    rest = json.loads(json.dumps({key: value[key] for key in value if key != "sha256"}))
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def write_json(path: str | os.PathLike, value: dict) -> None:
    """Writes `value` as indented JSON, atomically; NaN and infinities as in `to_json`."""
    write_text(path, _json(value, indent=2) + "\n")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` as UTF-8, atomically."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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
    return next((reason for reason in reasons if reason in text), text[:_LONGEST_REASON])


# === One at a time ===


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
    lock = path / ".lock" if inside else _beside(path, "lock")
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
            holder = os.pread(descriptor, _LONGEST_REASON, 0).decode("utf-8", "replace")
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


# === Whole or absent ===


@contextlib.contextmanager
def new_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A file that appears, or takes an earlier one's place, when the block ends without an error.

    Yields its hidden name until then. The bytes are on the disk before the file has its own name.

    Raises:
        InputError: it can't be written.
    """
    path = pathlib.Path(path)
    temporary = _beside(path, f"{os.getpid()}.tmp")
    try:
        with writing(path):
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
            flush(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def new_directory(path: str | os.PathLike, *, overwrite: bool = False) -> Iterator[pathlib.Path]:
    """A directory that appears under its name only when the block has ended without an error.

    Yields a hidden sibling (its name starts with a dot and is no integer, so neither a reader nor
    TensorFlow Serving takes it for the real one). An existing `path` is left alone until the new
    content is whole and on the disk, then replaced. `path` is `locked` meanwhile.

    Raises:
        InputError: `path` exists and `overwrite` is false, another process writes it, or it can't
            be written.
    """
    path = pathlib.Path(path)
    refuse_existing(path, overwrite=overwrite)
    with locked(path):
        refuse_existing(path, overwrite=overwrite)
        temporary = _beside(path, f"{os.getpid()}.tmp")
        try:
            with writing(path):
                remove(temporary)  # where there are no locks
                temporary.mkdir()
                yield temporary
                flush_all(temporary)
                _replace(temporary, path, overwrite=overwrite)
        except InputError as error:  # names what it would have been called
            raise InputError(str(error).replace(str(temporary), str(path))) from None
        finally:
            with contextlib.suppress(OSError):
                remove(temporary)


def refuse_existing(path: str | os.PathLike, *, overwrite: bool = False) -> None:
    """Raises `InputError` if an output is there already and must not be replaced."""
    if not overwrite and exists(path):
        raise InputError(f"{path} exists already; choose another place or remove it")


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


def _beside(path: pathlib.Path, ending: str) -> pathlib.Path:
    return path.parent / f".{path.name}.{ending}"


def _replace(source: pathlib.Path, target: pathlib.Path, *, overwrite: bool) -> None:
    """Renames a directory; what was at `target` is at `source` then, or gone."""
    if not (overwrite and os.path.lexists(target)):
        os.rename(source, target)
        flush(target.parent)
    elif _exchange(source, target):
        flush(target.parent)
    else:
        previous = _beside(target, f"{os.getpid()}.old")
        os.rename(target, previous)
        os.rename(source, target)
        flush(target.parent)
        remove(previous)


def _exchange(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Exchanges two names in one step; whether the system can."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    names = (_HERE, os.fsencode(one), _HERE, os.fsencode(other))
    return rename is not None and rename(*names, _RENAME_EXCHANGE) == 0


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
