"""A corpus, tokenized once: compact shards, an index, a manifest; random access in the graph.

manifest.json       format, tokenizer, counts, inputs, every file's SHA-256
vocab.txt ...       the files of the tokenizer that made the ids
tokens-00000.bin    a shard: token ids, uint16 (uint32 over 65,536 pieces), little-endian
tokens-00001.bin    ...
sentences.bin       int64: where each sentence starts, counted in tokens from the beginning of
                    the corpus, and the end of the last
documents.bin       int64: the first sentence of each document, and the end of the last
"""

import hashlib
import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.text import load_tokenizer, save_assets
from kerasbert.text.tokenizer import Tokenizer

FORMAT, VERSION = "kerasbert-corpus", 1
MANIFEST = "manifest.json"
SENTENCES, DOCUMENTS = "sentences.bin", "documents.bin"
_INDEX_TYPE = np.dtype("<i8")


def _token_type(vocabulary_size: int) -> np.dtype:
    return np.dtype("<u2" if vocabulary_size <= 1 << 16 else "<u4")


class CorpusWriter:
    """Writes tokenized sentences as a corpus; holds no more than what is being added.

    A context manager: leaving it closes the files, `finish` makes the corpus complete.

    Args:
        directory: where the files go; exists and is empty.
        tokenizer: what made the ids.
        tokens_per_shard: tokens after which a new shard is begun.
    """

    def __init__(self, directory: pathlib.Path, tokenizer: Tokenizer, tokens_per_shard: int):
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
        for file in (*self._shards, self._sentences, self._documents):
            file.close()

    @property
    def tokens(self) -> int:
        """Tokens written so far."""
        return self._tokens

    def add(self, tokens: np.ndarray, lengths: np.ndarray, documents: np.ndarray) -> None:
        """Adds sentences.

        Args:
            tokens: ids, (tokens,), sentence after sentence.
            lengths: tokens of each sentence, (sentences,); sentences without tokens are left out.
            documents: the number of each sentence's document, (sentences,), never falling.
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
                path = self._directory / f"tokens-{len(self._shards):05d}.bin"
                self._shards.append(_GrowingFile(path, self._token_type))
            room = self._tokens_per_shard - self._shards[-1].count
            self._shards[-1].append(tokens[:room])
            tokens = tokens[room:]

    def finish(self, **facts) -> dict:
        """Writes what makes the corpus complete; returns the manifest, `facts` included."""
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
            **facts,
            "tokenizer": self._tokenizer.get_config(),
            "shards": [shard.close() for shard in self._shards],
            "index": [self._sentences.close(), self._documents.close()],
        }
        files.write_json(self._directory / MANIFEST, manifest)
        return manifest


class _GrowingFile:
    """A file of numbers that is appended to, hashed on the way."""

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
    """A prepared corpus, mapped into memory, not read into it.

    Args:
        directory: what `prepare_corpus` wrote.
        verify: compare every file with its checksum (reads all of it once).

    Raises:
        InputError: no corpus there, or an unfinished or damaged one; the message names the file.

    Attributes:
        directory: where it is.
        manifest: what the manifest says.
        tokenizer: what made the ids.
        sentences: int64 tensor, (sentences + 1,), the start of each sentence, in tokens.
        documents: int64 tensor, (documents + 1,), the first sentence of each document.
    """

    def __init__(self, directory: str | os.PathLike, *, verify: bool = True):
        self.directory = pathlib.Path(directory)
        self.manifest = self._read_manifest()
        self.tokenizer = load_tokenizer(self.directory, self.manifest["tokenizer"])
        if verify:
            for facts in (*self.manifest["shards"], *self.manifest["index"]):
                self._verify(facts)
        token_type = _token_type(self.tokenizer.vocabulary_size)
        self._shards = [self._map(facts, token_type) for facts in self.manifest["shards"]]
        sentences, documents = (self._map(facts, _INDEX_TYPE) for facts in self.manifest["index"])
        self.sentences, self.documents = _tensor(sentences), _tensor(documents)
        self._shard_tensors = [_tensor(shard) for shard in self._shards]
        self._shard_starts = np.cumsum([0, *map(len, self._shards)])

    @property
    def num_tokens(self) -> int:
        """Tokens in the corpus."""
        return self.manifest["tokens"]

    @property
    def num_documents(self) -> int:
        """Documents in the corpus."""
        return self.manifest["documents"]

    def read(self, starts: tf.Tensor, ends: tf.Tensor) -> tf.RaggedTensor:
        """Reads stretches of tokens; in the graph.

        Args:
            starts: int64, (rows,), counted in tokens from the beginning of the corpus.
            ends: int64, (rows,), exclusive.

        Returns:
            int32, ragged, (rows, tokens).
        """
        wanted = tf.ragged.range(starts, ends)
        places = wanted.flat_values
        if len(self._shards) == 1:
            return wanted.with_flat_values(
                tf.cast(tf.gather(self._shard_tensors[0], places), tf.int32)
            )
        shard = tf.searchsorted(tf.constant(self._shard_starts), places, side="right") - 1
        parts = tf.dynamic_partition(places, shard, len(self._shards))
        order = tf.dynamic_partition(tf.range(tf.size(places)), shard, len(self._shards))
        tokens = [
            tf.cast(tf.gather(tensor, part - start), tf.int32)
            for tensor, part, start in zip(
                self._shard_tensors, parts, self._shard_starts[:-1], strict=True
            )
        ]
        return wanted.with_flat_values(tf.dynamic_stitch(order, tokens))

    def token_counts(self) -> np.ndarray:
        """How often each id occurs, (vocabulary,); reads the whole corpus once."""
        size = self.tokenizer.vocabulary_size
        return sum(np.bincount(shard, minlength=size) for shard in self._shards)

    def __iter__(self) -> Iterator[list[list[int]]]:
        """Every document, as a list of its sentences' ids."""
        for first, last in zip(self.documents[:-1], self.documents[1:], strict=True):
            bounds = self.sentences[first : last + 1]
            yield self.read(bounds[:-1], bounds[1:]).to_list()

    def _read_manifest(self) -> dict:
        path = self.directory / MANIFEST
        if not self.directory.is_dir():
            raise InputError(f"{self.directory}: no such corpus directory")
        if not path.exists():
            raise InputError(f"{self.directory}: has no {MANIFEST}, so it is no finished corpus")
        manifest = files.read_json(path)
        if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
            raise InputError(f"{path}: is not a {FORMAT} manifest of version {VERSION}")
        return manifest

    def _verify(self, facts: dict) -> None:
        path = self.directory / facts["file"]
        if not path.exists():
            raise InputError(f"{path}: is missing; prepare the corpus again")
        if files.sha256(path) != facts["sha256"]:
            raise InputError(f"{path}: is damaged (its SHA-256 differs); prepare the corpus again")

    def _map(self, facts: dict, dtype: np.dtype) -> np.ndarray:
        path = self.directory / facts["file"]
        try:
            # Copy-on-write, because a mapping that can't be written can't become a tensor.
            mapped = np.memmap(path, dtype, mode="c")
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: can't be read: {error}") from None
        if len(mapped) != facts["count"]:
            raise InputError(f"{path}: holds {len(mapped)} numbers, {facts['count']} are expected")
        return np.asarray(mapped)


def _tensor(mapped: np.ndarray) -> tf.Tensor:
    """A tensor on the mapped file itself: ops read from it what they need, nothing is copied.

    So batches are drawn by the graph alone. A Python function in the input pipeline would also
    do, but an iterator that is dropped while such a function waits for the interpreter's lock
    never returns.
    """
    with tf.device("CPU"):
        return tf.experimental.dlpack.from_dlpack(mapped.__dlpack__())


def same_vocabulary(corpora: Iterable[Corpus]) -> None:
    """Raises `InputError` if the corpora were not prepared with one tokenizer."""
    first, *others = corpora
    for other in others:
        if other.manifest["tokenizer"] != first.manifest["tokenizer"]:
            raise InputError(
                f"{other.directory} and {first.directory} were prepared with different tokenizers"
            )
