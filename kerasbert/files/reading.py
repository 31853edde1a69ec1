"""Reading of files that may be missing or damaged, or may not be regular files."""

import contextlib
import gzip
import io
import os
import pathlib
import stat
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any, TextIO

from kerasbert import schema
from kerasbert.errors import InputError
from kerasbert.files.stand_ins import HEAD, refuse_stand_in

_PATTERN_CHARACTERS = "[\\*?"
_MAX_BYTES = 1 << 30  # of a file that is read whole


def ending(path: str | os.PathLike[str]) -> str:
    """Returns the extension of a file, such as ".tsv", without a final ".gz"."""
    path = pathlib.PurePath(path)
    return pathlib.PurePath(path.stem).suffix if path.suffix == ".gz" else path.suffix


@contextlib.contextmanager
def open_text(
    path: str | os.PathLike[str], newline: str | None = None, *, is_text: bool = False
) -> Iterator[TextIO]:
    """Context manager that opens a UTF-8 text file, decompresses `.gz` and drops a byte order mark.

    Args:
        path: path of the file.
        newline: see Python's `open`.
        is_text: as in `refuse_stand_in`.

    Raises:
        InputError: the file can't be read or decompressed, is not UTF-8, or is a stand-in for
            another; also within the block.
    """
    try:
        with _unpacked(path) as data:
            refuse_stand_in(path, data.peek(HEAD), is_text=is_text)
            with io.TextIOWrapper(data, encoding="utf-8-sig", newline=newline) as file:
                yield file
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, gzip.BadGzipFile):
            refuse_stand_in(path)
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be read: {reason}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{_where_not_utf8(path)}: is not UTF-8 ({error.reason})") from None


def _unpacked(path: str | os.PathLike[str]) -> Any:
    """Opens a file for reading bytes, decompressed if its name ends in `.gz`."""
    return (gzip.open if pathlib.PurePath(path).suffix == ".gz" else open)(path, "rb")


def _where_not_utf8(path: str | os.PathLike[str]) -> str:
    """Returns a path with the number of the first line that is not UTF-8, if it can be found.

    Python's error has a position in the block that was decoded, not in the file.
    """
    if not os.path.isfile(path):  # a pipe can't be read again
        return f"{path}"
    with contextlib.suppress(OSError, EOFError, zlib.error), _unpacked(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return f"{path}:{number}"
    return f"{path}"


@contextlib.contextmanager
def without_patterns(path: str | os.PathLike[str]) -> Iterator[str]:
    r"""Context manager for a path that TensorFlow does not interpret as a glob pattern.

    It yields the path itself if it contains no `[`, `\`, `*` or `?`, and otherwise a link.

    Args:
        path: path of a directory, or the common prefix of several files.
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


def exists(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path exists.

    Raises:
        InputError: the system can't determine it, for example because a name is too long.
    """
    return _mode(path) is not None


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path is a directory; raises as `exists` does."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: str | os.PathLike) -> int | None:
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # a ValueError if the name contains NUL
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be used: {reason}") from None


def check_file(path: str | os.PathLike[str]) -> None:
    """Raises `InputError` for directories, and for pipes and devices, which may never end."""
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "directory" if os.path.isdir(path) else "pipe or a device"
        raise InputError(f"{path}: is a {kind}, not a file")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Reads a whole file.

    Raises:
        InputError: it is missing, is not a file, is larger than 1 GiB, can't be read, or is a
            stand-in for another file.
    """
    check_file(path)
    try:
        with open(path, "rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > _MAX_BYTES:
                raise InputError(f"{path}: has {size:,} bytes; at most {_MAX_BYTES:,} are read")
            data = file.read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    refuse_stand_in(path, data)
    return data


def read_json(path: str | os.PathLike[str], kind: Any = dict) -> Any:
    """Reads a JSON file and checks its content.

    Args:
        path: path of the file.
        kind: type of the content, see `kerasbert.schema`. Defaults to an object.

    Returns:
        The content.

    Raises:
        InputError: the file is missing or malformed, or has other content.
    """
    return schema.parse(read_bytes(path), path, kind)
