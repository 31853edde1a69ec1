"""Files on this machine and on remote stores, compressed or not.

A remote file is named by a URL (`s3://bucket/file`, `gs://`, `hf://datasets/...`, `https://`) and
is read with fsspec, by the package for its store.
"""

from __future__ import annotations

import bz2
import contextlib
import glob
import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from kerasbert import lazy
from kerasbert.errors import InputError, about
from kerasbert.files.stand_ins import HEAD, refuse_stand_in

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_BUFFER = 1 << 20
_DAMAGED = (EOFError, OSError, lzma.LZMAError, zlib.error)
#: The package for a store, for those that fsspec does not have itself.
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
_PACKAGES |= {"az": "adlfs", "http": "aiohttp", "https": "aiohttp"}
#: The first bytes of files that are no text, and the endings of their names.
_MAGIC = {
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\0": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
    b"PAR1": ".parquet",
}
#: The first bytes of other files that are no text in UTF-8, and what to say of them.
_NO_TEXT = {
    b"\xff\xfe": "is UTF-16, not UTF-8; convert it, as with iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "is UTF-16, not UTF-8; convert it, as with iconv -f UTF-16 -t UTF-8",
    b"PK\3\4": "is a zip archive; unpack it, and give the files of text that it holds",
    b"%PDF-": "is PDF; extract its text first",
}
_HEAD = 1 << 13  # bytes that show whether a file is text


class _Streams(io.RawIOBase):
    """Decompresses streams that follow each other, with or without zeros between them.

    `bz2.BZ2File` and `lzma.LZMAFile` end without an error where a stream after the first is
    damaged.
    """

    def __init__(self, decompressor: Callable[[], Any], file: BinaryIO):
        self._decompressor = decompressor
        self._file = file
        self._stream = decompressor()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            block = b""
            if self._stream.eof:
                block = self._stream.unused_data.lstrip(b"\0")
                while not block:
                    if not (block := self._file.read(_BUFFER)):
                        return 0
                    block = block.lstrip(b"\0")
                self._stream = self._decompressor()
            elif self._stream.needs_input and not (block := self._file.read(_BUFFER)):
                raise EOFError("the file ends before the compressed data does")
            data = self._stream.decompress(block, len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _streams(decompressor: Callable[[], Any]) -> Callable[[BinaryIO], Any]:
    return lambda file: io.BufferedReader(_Streams(decompressor, file), _BUFFER)


def _zstd(file: BinaryIO) -> Any:
    return lazy.extra("backports.zstd", "backports.zstd").ZstdFile(file)


#: What decompresses a file, by the ending of its name.
DECOMPRESS: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": _streams(bz2.BZ2Decompressor),
    ".xz": _streams(lzma.LZMADecompressor),
    ".zst": _zstd,
}


def is_remote(path: str) -> bool:
    """Returns whether a name is a URL."""
    return _URL.match(path) is not None


def is_compressed(path: str) -> bool:
    """Returns whether a file's name ends like that of a compressed file."""
    return path.endswith(tuple(DECOMPRESS))


def size(path: str) -> int | None:
    """Returns the number of bytes of a file, compressed as it is; None if its store has none."""
    with errors(path):
        if not is_remote(path):
            return os.path.getsize(path)
        system, name = filesystem(path)
        return system.size(name)


def find(pattern: str) -> list[str]:
    """Returns a file, or the files that a glob pattern matches, in the order of their names.

    Raises:
        InputError: there is no such file, it is a directory or a link to nothing, or the store
            can't be used.
    """
    with errors(pattern):
        found, is_directory = (_find_remote if is_remote(pattern) else _find_local)(pattern)
    if found:
        return found
    if is_directory:
        raise InputError(
            f"{pattern}: is a directory; give its files, as in '{pattern.rstrip('/')}/*'"
        )
    hint = "; in a glob pattern, [[] matches [" if "[" in pattern else ""
    raise InputError(f"{pattern}: no such file{hint}")


def _find_local(pattern: str) -> tuple[list[str], bool]:
    if os.path.isfile(pattern):
        return [pattern], False
    matching = sorted(glob.glob(pattern, recursive=True))
    for path in matching:
        if os.path.islink(path) and not os.path.exists(path):
            raise InputError(
                f"{path}: is a link to {os.readlink(path)}, which is not there; remove the link, "
                "or make its target available"
            )
    return [path for path in matching if os.path.isfile(path)], os.path.isdir(pattern)


def _find_remote(pattern: str) -> tuple[list[str], bool]:
    system, name = filesystem(pattern)
    if not _is_pattern(pattern):  # the name of one file, also on servers without listings
        kind = system.info(name)["type"] if system.exists(name) else None
        return [pattern] if kind == "file" else [], kind == "directory"
    prefix = pattern.removesuffix(name)  # with host, user or revision
    if prefix == pattern and name:
        raise InputError(f"{pattern}: patterns of URLs of this kind are not supported; name files")
    matching = system.glob(name, detail=True)
    names = sorted(path for path, about in matching.items() if about["type"] == "file")
    return [prefix + path for path in names], False


def _is_pattern(url: str) -> bool:
    # A question mark is part of many addresses.
    return "*" in url if url.lower().startswith("http") else glob.has_magic(url)


def filesystem(path: str) -> tuple[Any, str]:
    """Returns the `fsspec.AbstractFileSystem` of a URL, and the name of the file there.

    Raises:
        InputError: there is none of this name, or its package is not installed.
    """
    import fsspec  # only for URLs

    protocol = path.partition("://")[0].lower()
    try:
        return fsspec.core.url_to_fs(path)
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        how = f"pip install {package}" if package else str(error)
        raise InputError(
            f"{path}: {protocol}:// needs a package that is not installed: {how}"
        ) from None
    except ValueError as error:
        raise InputError(f"{path}: can't be used: {error}") from None


@contextlib.contextmanager
def opened_raw(path: str, *, is_text: bool = False) -> Iterator[io.BufferedReader]:
    """Context manager that opens a file to read its bytes as they are.

    Args:
        path: path or URL of the file.
        is_text: as in `kerasbert.files.refuse_stand_in`.

    Raises:
        InputError: it can't be read, or is a stand-in for another file; also within the block.
    """
    with errors(path):
        if not is_remote(path):
            with open(path, "rb") as file:
                refuse_stand_in(path, file.peek(HEAD), is_text=is_text)
                yield file
            return
        system, name = filesystem(path)
        with system.open(name, "rb") as file:
            buffered = io.BufferedReader(file, _BUFFER)  # lines are slow without
            refuse_stand_in(path, buffered.peek(HEAD), is_text=is_text)
            yield buffered


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Context manager that opens a file of text, and decompresses it if its name says so.

    Raises:
        InputError: it can't be read or decompressed, or contains something else than its name
            says, or no text; also within the block.
    """
    unpack = next((DECOMPRESS[end] for end in DECOMPRESS if path.endswith(end)), None)
    with opened_raw(path, is_text=unpack is None) as file, errors(path):
        if unpack is None:
            _refuse_other_contents(path, file.peek(_HEAD))
            yield file
            return
        if not file.peek(1):
            raise InputError(f"{path}: has 0 bytes, so nothing that was compressed; make it again")
        with unpack(file) as unpacked:
            _refuse_no_text(path, unpacked.peek(_HEAD))
            yield unpacked


def _refuse_other_contents(path: str, head: bytes) -> None:
    """Raises `InputError` if a file is not text, but possibly one that other names are for."""
    for magic, ending in _MAGIC.items():
        if head.startswith(magic) and (magic != b"BZh" or head[4:10] == b"1AY&SY"):
            raise InputError(f"{path}: is not text but {ending[1:]}; its name must end in {ending}")
    _refuse_no_text(path, head)


def _refuse_no_text(path: str, head: bytes) -> None:
    """Raises `InputError` if what a file, possibly unpacked, begins with shows that it is no text.

    Text from the web has a NUL here and there; of random bytes, one of 256 is NUL.
    """
    head = head[:_HEAD]
    for magic, what in _NO_TEXT.items():
        if head.startswith(magic):
            raise InputError(f"{path}: {what}")
    if (count := head.count(0)) > 1 + len(head) // 1024:
        raise InputError(
            f"{path}: is not text in UTF-8: {count:,} of its first {len(head):,} bytes are NUL; "
            "unpack archives, and convert other encodings"
        )


@contextlib.contextmanager
def errors(path: str, what: str = "read") -> Iterator[None]:
    """Context manager that converts errors to `InputError`s that name the file.

    Args:
        path: path or URL of the file.
        what: what can't be done with it.
    """
    try:
        with about(path):
            yield
    except InputError:
        raise
    except Exception as error:
        # The packages of remote stores, and decompression, have exceptions of their own.
        if not (is_remote(path) or isinstance(error, _DAMAGED) or _is_zstd(error)):
            raise
        raise InputError(f"{path}: can't be {what}: {_reason(error)}{_hint(path, error)}") from None


def _is_zstd(error: Exception) -> bool:
    return type(error).__name__ == "ZstdError"


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _hint(path: str, error: Exception) -> str:
    name = type(error).__name__
    denied = isinstance(error, PermissionError) or "Credential" in name or "Auth" in name
    if not (denied and is_remote(path)):
        return ""
    protocol = path.partition("://")[0]
    package = _PACKAGES.get(protocol, "fsspec")
    return f"; {package} found no credentials that allow it (its documentation says where it looks)"
