"""The files of a corpus, and the manifest that describes them.

manifest.json       format, tokenizer, counts, inputs, SHA-256 of every file and of itself
vocab.txt ...       the files of the tokenizer
tokens-00000.bin    a shard: token ids, uint16 (uint32 above 65,536 tokens), little-endian
tokens-00001.bin    ...
words-00000.bin     a bit for each token of the shard, 1 if it continues the word of the token
                    before; only if the corpus was prepared with words
sentences.bin       int64: the first token of each sentence, and the end of the last one
documents.bin       int64: the first sentence of each document, and the end of the last one

A part of a corpus has the same files, and what it is a part of in its manifest.
"""

import pathlib
from typing import Any, NotRequired, TypedDict

import numpy as np

from kerasbert import files, schema
from kerasbert.errors import InputError

FORMAT, VERSION = "kerasbert-corpus", 2
_WITHOUT_OWN_SHA256 = 1  # the previous version
MANIFEST = "manifest.json"
SENTENCES, DOCUMENTS = "sentences.bin", "documents.bin"
INDEX_TYPE = np.dtype("<i8")
BITS = np.dtype("u1")  # eight to a byte
COUNTS = ("tokens", "sentences", "documents")


class _File(TypedDict):
    file: str
    count: int
    sha256: str


class _Part(TypedDict):
    number: int
    of: int
    first_input: int
    inputs_sha256: str
    settings: dict


class _Manifest(TypedDict):
    tokens: int
    sentences: int
    documents: int
    inputs: NotRequired[list[str]]
    tokenizer: dict
    shards: list[_File]
    index: tuple[_File, _File]
    words: NotRequired[list[_File]]
    part: NotRequired[_Part]


def shard_name(number: int) -> str:
    """Returns the file name of a shard."""
    return f"tokens-{number:05d}.bin"


def words_name(number: int) -> str:
    """Returns the name of the file with the words of a shard."""
    return f"words-{number:05d}.bin"


def token_type(vocabulary_size: int) -> np.dtype:
    """Returns the dtype of token ids on disk."""
    return np.dtype("<u2" if vocabulary_size <= 1 << 16 else "<u4")


def metadata_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Returns what a manifest says beside counts, files and itself; see `write_manifest`."""
    own = {"format", "version", *COUNTS, "tokenizer", "shards", "index", "words", "sha256"}
    return {name: value for name, value in manifest.items() if name not in own}


def write_manifest(
    directory: pathlib.Path,
    counts: dict[str, int],
    metadata: dict[str, Any],
    tokenizer: dict[str, Any],
    shards: list[dict[str, Any]],
    index: list[dict[str, Any]],
    words: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Writes and returns the manifest of a corpus.

    Args:
        directory: path of the corpus.
        counts: dict, the numbers of `COUNTS`, in this order.
        metadata: dict, what else is known of the corpus.
        tokenizer: dict, the config of the tokenizer.
        shards: list of dicts with name, count and SHA-256 of each shard.
        index: the same of the two indexes.
        words: the same of the words of each shard, or None for a corpus without words.
    """
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        **counts,
        **metadata,
        "tokenizer": tokenizer,
        "shards": shards,
        "index": index,
        **({} if words is None else {"words": words}),
    }
    manifest["sha256"] = files.own_sha256(manifest)
    files.write_json(directory / MANIFEST, manifest)
    return manifest


def read_manifest(directory: pathlib.Path) -> dict[str, Any]:
    """Reads and checks the manifest of a corpus.

    Raises:
        InputError: the directory has no manifest, or it is damaged or does not fit its files.
    """
    path = directory / MANIFEST
    if not files.is_directory(directory):
        raise InputError(f"{directory}: no such corpus directory")
    if not files.exists(path):
        raise InputError(f"{directory}: has no {MANIFEST}, so it is not a complete corpus")
    manifest = files.read_json(path)
    version = manifest.get("version")
    if manifest.get("format") != FORMAT or version not in (_WITHOUT_OWN_SHA256, VERSION):
        raise InputError(f"{path}: is not a {FORMAT} manifest of version {VERSION}")
    if version == VERSION and manifest.get("sha256") != files.own_sha256(manifest):
        raise InputError(f"{path}: is damaged (its SHA-256 differs); prepare the corpus again")
    manifest = schema.check(manifest, _Manifest, path)
    _check_counts(manifest, path)
    return manifest


def _check_counts(manifest: dict, path: pathlib.Path) -> None:
    """Raises `InputError` unless files and counts are those of one corpus."""
    shards, index = manifest["shards"], manifest["index"]
    named = [metadata["file"] for metadata in (*shards, *index)]
    expected = [*map(shard_name, range(len(shards))), SENTENCES, DOCUMENTS]
    # Only a part may be without text.
    if named != expected or not (shards or "part" in manifest):
        raise InputError(f"{path}: its files are not shards in order and two indexes")
    if "words" in manifest:
        bits = [(metadata["file"], metadata["count"]) for metadata in manifest["words"]]
        if bits != [(words_name(i), shard["count"]) for i, shard in enumerate(shards)]:
            raise InputError(f"{path}: its words are not those of its shards")
    counts = [
        sum(metadata["count"] for metadata in shards),
        *(metadata["count"] - 1 for metadata in index),
    ]
    for name, counted in zip(COUNTS, counts, strict=True):
        if manifest[name] != counted:
            raise InputError(f"{path}: has {manifest[name]} {name}, but its files have {counted}")
