"""Atomic writing: files and directories are either complete or absent."""

import contextlib
import ctypes
import json
import math
import os
import pathlib
import stat
from collections.abc import Iterator
from typing import Any

from kerasbert.errors import UNPRINTABLE, InputError
from kerasbert.files.disk import flush, flush_all, hidden_sibling, remove, writing
from kerasbert.files.locks import locked
from kerasbert.files.replacing import Check, refuse_elsewhere, refuse_existing

_HERE, _RENAME_EXCHANGE = -100, 2  # AT_FDCWD, and RENAME_EXCHANGE of <linux/fs.h>


def to_json(value: Any) -> str:
    """Returns JSON on one line; NaN and infinities, which JSON lacks, become null."""
    return _json(value)


def _json(value, indent: int | None = None) -> str:
    text = json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False, indent=indent)
    # The only unescaped line ends are those of the indentation.
    return UNPRINTABLE.sub(lambda c: c[0] if c[0] == "\n" else f"\\u{ord(c[0]):04x}", text)


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: str | os.PathLike[str], value: dict[str, Any] | list[Any]) -> None:
    """Writes `value` as indented JSON, atomically; NaN and infinities become null."""
    write_text(path, _json(value, indent=2) + "\n")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` as UTF-8, atomically."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Context manager for a file that appears, or replaces an existing one, if the block succeeds.

    It yields a temporary hidden path. The content is flushed to disk before the file is renamed.

    Args:
        path: path of the file.

    Raises:
        InputError: the file can't be written, or is none of this machine, see `refuse_elsewhere`.
    """
    refuse_elsewhere(path)
    path = pathlib.Path(path)
    temporary = hidden_sibling(path, f"{os.getpid()}.tmp")
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
def new_directory(
    path: str | os.PathLike[str], *, overwrite: bool = False, check: Check | None = None
) -> Iterator[pathlib.Path]:
    """Context manager for a directory that appears if the block succeeds.

    It yields a hidden sibling, whose name starts with a dot and is not an integer, so that neither
    readers nor TensorFlow Serving use it. An existing `path` is replaced after the new content is
    complete and flushed to disk. `path` is `locked` meanwhile.

    Args:
        path: path of the directory.
        overwrite: whether to replace an existing directory.
        check: as in `refuse_existing`.

    Raises:
        InputError: `path` exists and must not be replaced, another process writes it, or it can't
            be written.
    """
    refuse_existing(path, overwrite=overwrite, check=check)
    path = pathlib.Path(path)
    with locked(path):
        refuse_existing(path, overwrite=overwrite, check=check)
        temporary = hidden_sibling(path, f"{os.getpid()}.tmp")
        try:
            with writing(path):
                remove(temporary)  # exists only on file systems without locks
                temporary.mkdir()
                yield temporary
                _grant_default_modes(temporary)
                flush_all(temporary)
                # Others may have written there meanwhile.
                refuse_existing(path, overwrite=overwrite, check=check)
                _replace(temporary, path, overwrite=overwrite)
        except InputError as error:  # contains the temporary name
            raise InputError(str(error).replace(str(temporary), str(path))) from None
        finally:
            with contextlib.suppress(OSError):
                remove(temporary)


def _grant_default_modes(directory: pathlib.Path) -> None:
    """Lets others read files as far as the umask does; safetensors writes them for the owner."""
    default = stat.S_IMODE(directory.stat().st_mode) & 0o666
    for root, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(root, name)
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            if mode | default != mode and not os.path.islink(path):
                os.chmod(path, mode | default)


def _replace(source: pathlib.Path, target: pathlib.Path, *, overwrite: bool) -> None:
    """Renames a directory; an existing `target` is exchanged with it or removed."""
    if not (overwrite and os.path.lexists(target)):
        os.rename(source, target)
        flush(target.parent)
    elif _exchange(source, target):
        flush(target.parent)
    else:
        previous = hidden_sibling(target, f"{os.getpid()}.old")
        os.rename(target, previous)
        os.rename(source, target)
        flush(target.parent)
        remove(previous)


def _exchange(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Exchanges two names atomically; returns whether the system supports it."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    names = (_HERE, os.fsencode(one), _HERE, os.fsencode(other))
    return rename is not None and rename(*names, _RENAME_EXCHANGE) == 0
