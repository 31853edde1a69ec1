"""Corpora on remote stores: written here and then uploaded, downloaded once and then mapped here.

A corpus is complete when it has a manifest, which is uploaded last; stores replace whole files.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kerasbert import files, schema
from kerasbert.data.corpus.documents import stores
from kerasbert.data.corpus.manifest import MANIFEST
from kerasbert.errors import InputError

if TYPE_CHECKING:
    import fsspec

#: The environment variable with the directory of downloaded corpora.
CACHE = "KERASBERT_CACHE"
#: Stores without directories, where making one would make a bucket.
_OBJECT_STORES = {"s3", "gs", "abfs", "hf"}
_MOST_MANIFEST = 1 << 30  # bytes


@contextlib.contextmanager
def written(output: str | os.PathLike[str]) -> Iterator[str | os.PathLike[str]]:
    """Context manager for writing a corpus: yields the path of the directory to write.

    For a URL it is a path in the directory of temporary files (`TMPDIR`), from which the corpus is
    uploaded when the block succeeds. Nothing prevents two programs from writing to the same URL.

    Args:
        output: path or URL of the corpus.

    Raises:
        InputError: there is a corpus at this URL, or the store can't be written.
    """
    output = os.fspath(output)
    if not stores.is_remote(output):
        yield output
        return
    system, name = stores.filesystem(output)
    with stores.errors(output):
        if system.exists(f"{name}/{MANIFEST}"):
            raise InputError(f"{output} exists already; choose another path or remove it")
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary, "corpus")
        yield directory
        with stores.errors(output, "written"):
            _upload(directory, system, name)


def _upload(directory: pathlib.Path, system, name: str) -> None:
    paths = sorted(path for path in directory.iterdir() if path.name != MANIFEST)
    if not _OBJECT_STORES & set(_protocols(system)):
        system.makedirs(name, exist_ok=True)
    for path in (*paths, directory / MANIFEST):
        system.put_file(str(path), f"{name}/{path.name}")


def _protocols(system: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def local(directory: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the path of a corpus; one on a remote store is downloaded first, once.

    Downloads are in `KERASBERT_CACHE`, by default `~/.cache/kerasbert`, named after the contents of
    their manifests; remove them as you like. Several processes wait for one that downloads.

    Args:
        directory: path or URL of the corpus.

    Raises:
        InputError: there is no complete corpus at this URL, or it can't be read.
    """
    url = os.fspath(directory)
    if not stores.is_remote(url):
        return pathlib.Path(directory)
    system, name = stores.filesystem(url)
    with stores.errors(url):
        if not system.exists(f"{name}/{MANIFEST}"):
            raise InputError(f"{url}: has no {MANIFEST}, so it is not a complete corpus")
        with system.open(f"{name}/{MANIFEST}", "rb") as file:
            manifest = schema.parse(file.read(_MOST_MANIFEST), f"{url}/{MANIFEST}", dict)
    root = pathlib.Path(os.environ.get(CACHE) or pathlib.Path.home() / ".cache" / "kerasbert")
    target = root / "corpora" / f"{pathlib.PurePath(name).name}-{files.own_sha256(manifest)[:16]}"
    with files.locked(target, wait=True):
        if not files.exists(target):
            with files.new_directory(target) as temporary, stores.errors(url):
                _download(system, name, temporary)
    return target


def _download(system, name: str, directory: pathlib.Path) -> None:
    for path, about in system.find(name, maxdepth=1, detail=True).items():
        if about["type"] == "file":
            system.get_file(path, str(directory / pathlib.PurePath(path).name))


@contextlib.contextmanager
def copy_named(directory: str | os.PathLike[str], copy: pathlib.Path) -> Iterator[None]:
    """Context manager that says in errors of a downloaded copy where it is."""
    try:
        yield
    except InputError as error:
        if not stores.is_remote(os.fspath(directory)):
            raise
        raise InputError(
            f"{error}; this is a copy of {directory}, downloaded again if {copy} is removed"
        ) from None
