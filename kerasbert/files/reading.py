"""Reading files that may be missing, damaged, or no files at all."""

import contextlib
import gzip
import os
import pathlib
import stat
import tempfile
import zlib
from collections.abc import Iterator
from typing import TextIO

from kerasbert import schema
from kerasbert.errors import InputError

_PATTERN_CHARACTERS = "[\\*?"
_MAX_BYTES = 1 << 30  # of a file that is read whole


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
    if not any(character in str(path) for character in _PATTERN_CHARACTERS):
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


def read_bytes(path: str | os.PathLike) -> bytes:
    """Reads a whole file.

    Raises:
        InputError: it is missing, is not a file, is larger than 1 GiB, or can't be read.
    """
    check_file(path)
    try:
        with open(path, "rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > _MAX_BYTES:
                raise InputError(f"{path}: has {size:,} bytes; at most {_MAX_BYTES:,} are read")
            return file.read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None


def read_json(path: str | os.PathLike, kind=dict):
    """Reads a JSON file and checks what it holds.

    Args:
        path: the file.
        kind: what it must hold, as `kerasbert.schema` says it; an object unless given.

    Raises:
        InputError: the file is missing or malformed, or holds something else.
    """
    return schema.parse(read_bytes(path), path, kind)
