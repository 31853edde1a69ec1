"""Files and directories that are either complete or absent."""

import contextlib
import gzip
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import zlib
from collections.abc import Iterator
from typing import TextIO

from kerasbert.errors import InputError

_SURROGATES = re.compile("[\ud800-\udfff]")


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


def sha256_of_all(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file, or of the names and contents of all files in a directory."""
    path = pathlib.Path(path)
    if not path.is_dir():
        return sha256(path)
    inside = sorted(file for file in path.rglob("*") if file.is_file())
    listed = "".join(f"{sha256(file)} {file.relative_to(path).as_posix()}\n" for file in inside)
    return hashlib.sha256(os.fsencode(listed)).hexdigest()


def read_json(path: str | os.PathLike, kind: type = dict):
    """Reads one JSON object, or a list if `kind` is that.

    Raises:
        InputError: the file is missing or malformed, or holds something else.
    """
    try:
        value = json.loads(pathlib.Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(value, kind):
        wanted = {dict: "object", list: "array"}[kind]
        raise InputError(f"{path}: expected a JSON {wanted}, found {type(value).__name__}")
    return value


def to_json(value) -> str:
    """JSON on one line; NaN and infinities, for which JSON has no numbers, are null."""
    # What is no Unicode (a file's name, say) stays escaped, so that UTF-8 can hold the line.
    text = json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False)
    return _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: str | os.PathLike, value: dict) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes `text` as UTF-8, atomically."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """While this lasts, what can't be written (a full disk, say) is an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror or error}") from None


@contextlib.contextmanager
def new_directory(path: str | os.PathLike, *, overwrite: bool = False) -> Iterator[pathlib.Path]:
    """A directory that appears under its name only when the block has ended without an error.

    Yields a hidden sibling (its name starts with a dot and is no integer, so neither a reader nor
    TensorFlow Serving takes it for the real one). An existing `path` is left alone until the new
    content is whole, then replaced.

    Raises:
        InputError: `path` exists and `overwrite` is false, or its parent can't be made.
    """
    path = pathlib.Path(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; choose another place or remove it")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In a container a killed process's number comes again.
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror or error}") from None
    try:
        yield temporary
        _replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(source: pathlib.Path, target: pathlib.Path) -> None:
    """Renames `source` to `target`; a previous `target` is removed after the switch."""
    previous = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        os.rename(target, previous)
    os.rename(source, target)
    if previous.is_dir() and not previous.is_symlink():
        shutil.rmtree(previous)
    else:
        previous.unlink(missing_ok=True)
