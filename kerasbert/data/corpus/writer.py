"""Writing of a corpus."""

from __future__ import annotations

import hashlib
import pathlib

import numpy as np

from kerasbert.data.corpus.manifest import (
    DOCUMENTS,
    INDEX_TYPE,
    SENTENCES,
    shard_name,
    token_type,
    write_manifest,
)
from kerasbert.errors import InputError
from kerasbert.text import save_assets
from kerasbert.text.tokenizer import Tokenizer

# Systems limit the number of memory maps, Linux to 65,530; a run can have several corpora.
MOST_SHARDS = 20_000


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
        self._token_type = token_type(tokenizer.vocabulary_size)
        self._tokens_per_shard = tokens_per_shard
        self._shards: list[GrowingFile] = []
        self._sentences = GrowingFile(directory / SENTENCES, INDEX_TYPE)
        self._documents = GrowingFile(directory / DOCUMENTS, INDEX_TYPE)
        self._last_document = -1
        self._tokens = 0
        self._begins_shard = True

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
            documents: integers, (sentences,), the number of each sentence's document in its unit,
                from 0, non-decreasing.
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
            if self._begins_shard or self._shards[-1].count == self._tokens_per_shard:
                self._begin_shard()
            room = self._tokens_per_shard - self._shards[-1].count
            self._shards[-1].append(tokens[:room])
            tokens = tokens[room:]

    def end_unit(self) -> None:
        """Ends a unit: what is added later is of other documents, in other shards."""
        self._last_document = -1
        self._begins_shard = True

    def _begin_shard(self) -> None:
        if self._shards:
            self._shards[-1].close()  # limits on open files are low on some systems
        check_shards(len(self._shards) + 1)
        self._begins_shard = False
        path = self._directory / shard_name(len(self._shards))
        self._shards.append(GrowingFile(path, self._token_type))

    def finish(self, **metadata) -> dict:
        """Completes the corpus; returns the manifest, which includes `metadata`."""
        documents, sentences = self._documents.count, self._sentences.count
        self._sentences.append(np.array([self._tokens]))
        self._documents.append(np.array([sentences]))
        save_assets(self._tokenizer, self._directory)
        return write_manifest(
            self._directory,
            {"tokens": self._tokens, "sentences": sentences, "documents": documents},
            metadata,
            self._tokenizer.get_config(),
            shards=[shard.close() for shard in self._shards],
            index=[self._sentences.close(), self._documents.close()],
        )


def check_shards(count: int) -> None:
    """Raises `InputError` if a corpus can't have so many shards."""
    if count > MOST_SHARDS:
        raise InputError(
            f"a corpus can have at most {MOST_SHARDS:,} shards; this text needs larger ones: more "
            "tokens per shard and more bytes per unit"
        )


class GrowingFile:
    """A file of integers to which values are appended, with a running SHA-256.

    Args:
        path: path of the file, which must not exist.
        dtype: dtype of the integers in the file.
    """

    def __init__(self, path: pathlib.Path, dtype: np.dtype):
        self._file = open(path, "wb")  # noqa: SIM115  closed by close()
        self._name, self._dtype = path.name, dtype
        self._hash = hashlib.sha256()
        self.count = 0

    def append(self, values: np.ndarray) -> None:
        """Appends integers."""
        data = values.astype(self._dtype).tobytes()
        self._file.write(data)
        self._hash.update(data)
        self.count += len(values)

    def close(self) -> dict:
        """Closes the file; returns its entry in the manifest."""
        self._file.close()
        return {"file": self._name, "count": self.count, "sha256": self._hash.hexdigest()}
