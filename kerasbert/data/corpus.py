"""A tokenized corpus: compact shards, an index and a manifest, with random access.

manifest.json       format, tokenizer, counts, inputs, SHA-256 of every file and of itself
vocab.txt ...       the files of the tokenizer
tokens-00000.bin    a shard: token ids, uint16 (uint32 above 65,536 tokens), little-endian
tokens-00001.bin    ...
sentences.bin       int64: the first token of each sentence, and the end of the last one
documents.bin       int64: the first sentence of each document, and the end of the last one
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import mmap
import os
import pathlib
import weakref
from collections.abc import Iterable, Iterator
from typing import TypedDict

import numpy as np

from kerasbert import files, schema
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.text import load_tokenizer, save_assets
from kerasbert.text.tokenizer import Tokenizer

FORMAT, VERSION = "kerasbert-corpus", 2
_WITHOUT_OWN_SHA256 = 1  # the previous version
MANIFEST = "manifest.json"
SENTENCES, DOCUMENTS = "sentences.bin", "documents.bin"
_INDEX_TYPE = np.dtype("<i8")
# The graph that draws batches has a few nodes for each shard.
_MOST_SHARDS = 10_000


class _File(TypedDict):
    file: str
    count: int
    sha256: str


class _Manifest(TypedDict):
    tokens: int
    sentences: int
    documents: int
    tokenizer: dict
    shards: list[_File]
    index: tuple[_File, _File]


def _shard_name(number: int) -> str:
    return f"tokens-{number:05d}.bin"


def _token_type(vocabulary_size: int) -> np.dtype:
    return np.dtype("<u2" if vocabulary_size <= 1 << 16 else "<u4")


class CorpusWriter:
    """Writes tokenized sentences to a corpus, in constant memory.

    It is a context manager, which closes the files on exit. `finish` completes the corpus.

    Args:
        directory: path of an existing, empty directory.
        tokenizer: `Tokenizer` that produces the ids.
        tokens_per_shard: integer, the maximum number of tokens per shard.

    Raises:
        InputError: `tokens_per_shard` is less than 1, or so small that there are too many shards.
    """

    def __init__(self, directory: pathlib.Path, tokenizer: Tokenizer, tokens_per_shard: int):
        if tokens_per_shard < 1:
            raise InputError(f"tokens_per_shard must be 1 or more, found {tokens_per_shard}")
        self._directory = directory
        self._tokenizer = tokenizer
        self._token_type = _token_type(tokenizer.vocabulary_size)
        self._tokens_per_shard = tokens_per_shard
        self._shards: list[_GrowingFile] = []
        self._sentences = _GrowingFile(directory / SENTENCES, _INDEX_TYPE)
        self._documents = _GrowingFile(directory / DOCUMENTS, _INDEX_TYPE)
        self._last_document = -1
        self._tokens = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for file in (*self._shards[-1:], self._sentences, self._documents):
            file.close()

    @property
    def tokens(self) -> int:
        """The number of tokens written so far."""
        return self._tokens

    def add(self, tokens: np.ndarray, lengths: np.ndarray, documents: np.ndarray) -> None:
        """Adds sentences.

        Args:
            tokens: integers, (tokens,), the ids of all sentences in order.
            lengths: integers, (sentences,), the number of tokens of each sentence; empty sentences
                are skipped.
            documents: integers, (sentences,), the number of each sentence's document,
                non-decreasing.
        """
        kept = lengths > 0
        lengths, documents = lengths[kept], documents[kept]
        begins = np.diff(documents, prepend=self._last_document) != 0
        self._documents.append(self._sentences.count + np.flatnonzero(begins))
        self._sentences.append(self._tokens + np.cumsum(lengths) - lengths)
        if len(documents):
            self._last_document = documents[-1]
        self._tokens += len(tokens)
        while len(tokens):
            if not self._shards or self._shards[-1].count == self._tokens_per_shard:
                self._begin_shard()
            room = self._tokens_per_shard - self._shards[-1].count
            self._shards[-1].append(tokens[:room])
            tokens = tokens[room:]

    def _begin_shard(self) -> None:
        if self._shards:
            self._shards[-1].close()  # limits on open files are low on some systems
        if len(self._shards) == _MOST_SHARDS:
            raise InputError(
                f"a corpus can have at most {_MOST_SHARDS:,} shards; {self._tokens_per_shard:,} "
                "tokens per shard are too few for this text"
            )
        path = self._directory / _shard_name(len(self._shards))
        self._shards.append(_GrowingFile(path, self._token_type))

    def finish(self, **metadata) -> dict:
        """Completes the corpus; returns the manifest, which includes `metadata`."""
        documents, sentences = self._documents.count, self._sentences.count
        self._sentences.append(np.array([self._tokens]))
        self._documents.append(np.array([sentences]))
        save_assets(self._tokenizer, self._directory)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "tokens": self._tokens,
            "sentences": sentences,
            "documents": documents,
            **metadata,
            "tokenizer": self._tokenizer.get_config(),
            "shards": [shard.close() for shard in self._shards],
            "index": [self._sentences.close(), self._documents.close()],
        }
        manifest["sha256"] = files.own_sha256(manifest)
        files.write_json(self._directory / MANIFEST, manifest)
        return manifest


class _GrowingFile:
    """A file of integers to which values are appended, with a running SHA-256."""

    def __init__(self, path: pathlib.Path, dtype: np.dtype):
        self._file = open(path, "wb")  # noqa: SIM115  closed by close()
        self._name, self._dtype = path.name, dtype
        self._hash = hashlib.sha256()
        self.count = 0

    def append(self, values: np.ndarray) -> None:
        data = values.astype(self._dtype).tobytes()
        self._file.write(data)
        self._hash.update(data)
        self.count += len(values)

    def close(self) -> dict:
        self._file.close()
        return {"file": self._name, "count": self.count, "sha256": self._hash.hexdigest()}


class Corpus:
    """A prepared corpus, memory-mapped.

    Args:
        directory: path of a directory written by `prepare_corpus`.
        verify: whether to compare the SHA-256 of every file, which reads all of them once.

    Raises:
        InputError: the directory does not contain a complete, undamaged corpus; the message names
            the file.

    Attributes:
        directory: `pathlib.Path` of the directory.
        manifest: dict, the content of the manifest.
        tokenizer: `Tokenizer` that produced the ids.
        sentences: int64, (sentences + 1,), the start of each sentence, in tokens.
        documents: int64, (documents + 1,), the first sentence of each document.
    """

    def __init__(self, directory: str | os.PathLike, *, verify: bool = True):
        self.directory = pathlib.Path(directory)
        self.manifest = self._read_manifest()
        self._check_manifest()
        self.tokenizer = load_tokenizer(self.directory, self.manifest["tokenizer"])
        if verify:
            for metadata in (*self.manifest["shards"], *self.manifest["index"]):
                self._verify(metadata)
        token_type = _token_type(self.tokenizer.vocabulary_size)
        self._shards = [self._map(metadata, token_type) for metadata in self.manifest["shards"]]
        self.sentences, self.documents = (
            self._map(metadata, _INDEX_TYPE) for metadata in self.manifest["index"]
        )
        self._check_index(SENTENCES, self.sentences, self.num_tokens, thoroughly=verify)
        self._check_index(DOCUMENTS, self.documents, self.manifest["sentences"], thoroughly=verify)
        if verify:
            self._check_ids()
        self._shard_starts = np.cumsum([0, *map(len, self._shards)])

    @property
    def num_tokens(self) -> int:
        """The number of tokens in the corpus."""
        return self.manifest["tokens"]

    @property
    def num_documents(self) -> int:
        """The number of documents in the corpus."""
        return self.manifest["documents"]

    def tokens_at(self, positions: np.ndarray) -> np.ndarray:
        """Returns the ids at positions, counted from the beginning of the corpus: int32."""
        shard = np.searchsorted(self._shard_starts, positions, side="right") - 1
        ids = np.empty(positions.shape, np.int32)
        for number in np.unique(shard):
            here = shard == number
            ids[here] = self._shards[number][positions[here] - self._shard_starts[number]]
        return ids

    @functools.cached_property
    def index_tensors(self) -> tuple[tf.Tensor, tf.Tensor]:
        """`sentences` and `documents` as tensors."""
        return _tensor(self.sentences), _tensor(self.documents)

    @functools.cached_property
    def _shard_tensors(self) -> list[tf.Tensor]:
        return [_tensor(shard) for shard in self._shards]

    def read(self, starts: tf.Tensor, ends: tf.Tensor) -> tf.RaggedTensor:
        """Reads ranges of tokens, as TensorFlow ops.

        Args:
            starts: int64, (rows,), the first token of each range, counted from the beginning of the
                corpus.
            ends: int64, (rows,), the end of each range, exclusive.

        Returns:
            int32, ragged, (rows, tokens).
        """
        wanted = tf.ragged.range(starts, ends)
        offsets = wanted.flat_values
        if len(self._shards) == 1:
            return wanted.with_flat_values(
                tf.cast(tf.gather(self._shard_tensors[0], offsets), tf.int32)
            )
        shard = tf.searchsorted(tf.constant(self._shard_starts), offsets, side="right") - 1
        parts = tf.dynamic_partition(offsets, shard, len(self._shards))
        order = tf.dynamic_partition(tf.range(tf.size(offsets)), shard, len(self._shards))
        tokens = [
            tf.cast(tf.gather(tensor, part - start), tf.int32)
            for tensor, part, start in zip(
                self._shard_tensors, parts, self._shard_starts[:-1], strict=True
            )
        ]
        return wanted.with_flat_values(tf.dynamic_stitch(order, tokens))

    def token_counts(self) -> np.ndarray:
        """Counts the occurrences of each id: (vocabulary_size,); reads the whole corpus once."""
        size = self.tokenizer.vocabulary_size
        return sum(np.bincount(shard, minlength=size) for shard in self._shards)

    def __iter__(self) -> Iterator[list[list[int]]]:
        """Iterates over the documents, each a list of lists of ids, one list per sentence."""
        for first, last in zip(self.documents[:-1], self.documents[1:], strict=True):
            bounds = self.sentences[first : last + 1]
            tokens = self.tokens_at(np.arange(bounds[0], bounds[-1]))
            yield [part.tolist() for part in np.split(tokens, bounds[1:-1] - bounds[0])]

    def _read_manifest(self) -> dict:
        path = self.directory / MANIFEST
        if not files.is_directory(self.directory):
            raise InputError(f"{self.directory}: no such corpus directory")
        if not files.exists(path):
            raise InputError(f"{self.directory}: has no {MANIFEST}, so it is not a complete corpus")
        manifest = files.read_json(path)
        version = manifest.get("version")
        if manifest.get("format") != FORMAT or version not in (_WITHOUT_OWN_SHA256, VERSION):
            raise InputError(f"{path}: is not a {FORMAT} manifest of version {VERSION}")
        if version == VERSION and manifest.get("sha256") != files.own_sha256(manifest):
            raise InputError(f"{path}: is damaged (its SHA-256 differs); prepare the corpus again")
        return schema.check(manifest, _Manifest, path)

    def _check_manifest(self) -> None:
        """Raises `InputError` unless files and counts are those of one corpus."""
        path, manifest = self.directory / MANIFEST, self.manifest
        shards, index = manifest["shards"], manifest["index"]
        named = [metadata["file"] for metadata in (*shards, *index)]
        expected = [*map(_shard_name, range(len(shards))), SENTENCES, DOCUMENTS]
        if named != expected or not shards:
            raise InputError(f"{path}: its files are not shards in order and two indexes")
        counts = [
            sum(metadata["count"] for metadata in shards),
            *(metadata["count"] - 1 for metadata in index),
        ]
        for name, counted in zip(("tokens", "sentences", "documents"), counts, strict=True):
            if manifest[name] != counted:
                raise InputError(
                    f"{path}: has {manifest[name]} {name}, but its files have {counted}"
                )

    def _check_index(self, name: str, starts: np.ndarray, end: int, *, thoroughly: bool) -> None:
        """Raises `InputError` unless an index increases from 0 to `end`."""
        right = starts[0] == 0 and starts[-1] == end
        if not right or (thoroughly and not np.all(starts[:-1] < starts[1:])):
            raise InputError(f"{self.directory / name}: does not increase from 0 to {end}")

    def _check_ids(self) -> None:
        size = self.tokenizer.vocabulary_size
        for number, shard in enumerate(self._shards):
            if (largest := shard.max()) >= size:
                path = self.directory / _shard_name(number)
                raise InputError(
                    f"{path}: contains the id {largest}, but the vocabulary has {size:,} tokens"
                )

    def _verify(self, metadata: dict) -> None:
        path = self.directory / metadata["file"]
        if not path.is_file():
            raise InputError(f"{path}: is missing; prepare the corpus again")
        if files.sha256(path) != metadata["sha256"]:
            raise InputError(f"{path}: is damaged (its SHA-256 differs); prepare the corpus again")

    def _map(self, metadata: dict, dtype: np.dtype) -> np.ndarray:
        path = self.directory / metadata["file"]
        try:
            mapped = _mapped(path, dtype)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: can't be read: {reason}") from None
        if len(mapped) != metadata["count"]:
            raise InputError(
                f"{path}: contains {len(mapped)} numbers, expected {metadata['count']}"
            )
        return mapped


def _mapped(path: pathlib.Path, dtype: np.dtype) -> np.ndarray:
    """Maps a file of integers into memory.

    The memory maps of Python keep their files open, and limits on open files are low on some
    systems.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    # Copy-on-write, because a read-only mapping can't become a tensor.
    access = mmap.PROT_READ | mmap.PROT_WRITE
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise ValueError("is empty")
        address = libc.mmap(None, size, access, mmap.MAP_PRIVATE, file.fileno(), 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    memory = (ctypes.c_char * size).from_address(address)
    # Not at interpreter exit, when other threads may still read it.
    weakref.finalize(memory, libc.munmap, address, size).atexit = False
    return np.frombuffer(memory, dtype)


def _tensor(mapped: np.ndarray) -> tf.Tensor:
    """Returns a tensor that shares the memory of the mapped file; nothing is copied.

    This way, the graph alone draws batches. A Python function in the input pipeline would work too,
    but an iterator that is deleted while such a function waits for the interpreter's lock never
    returns.
    """
    with tf.device("CPU"):
        return tf.experimental.dlpack.from_dlpack(mapped.__dlpack__())


def same_vocabulary(corpora: Iterable[Corpus]) -> None:
    """Raises `InputError` unless all corpora were prepared with the same tokenizer."""
    first, *others = corpora
    for other in others:
        if other.manifest["tokenizer"] != first.manifest["tokenizer"]:
            raise InputError(
                f"{other.directory} and {first.directory} were prepared with different tokenizers"
            )
