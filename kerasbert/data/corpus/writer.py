"""Writing of a corpus."""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any, Self

import numpy as np

from kerasbert.data.corpus.manifest import (
    BITS,
    DOCUMENTS,
    INDEX_TYPE,
    SENTENCES,
    shard_name,
    token_type,
    words_name,
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
        with_words: bool, whether the corpus says which tokens continue a word.

    Raises:
        InputError: `tokens_per_shard` is less than 1, or so small that there are too many shards.

    Examples:
        `prepare_corpus` uses it. Here two documents are given as ids:

        >>> import pathlib
        >>> import numpy as np
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> directory = pathlib.Path("corpus")
        >>> directory.mkdir()
        >>> with kerasbert.data.corpus.CorpusWriter(directory, tokenizer, 1000) as writer:
        ...     ids, lengths = np.array([5, 6, 7, 5, 6]), np.array([3, 2])
        ...     writer.add(ids, lengths, documents=np.array([0, 1]))
        ...     manifest = writer.finish()
        >>> list(kerasbert.data.Corpus("corpus"))
        [[[5, 6, 7]], [[5, 6]]]
    """

    def __init__(
        self,
        directory: pathlib.Path,
        tokenizer: Tokenizer,
        tokens_per_shard: int,
        *,
        with_words: bool = False,
    ):
        if tokens_per_shard < 1:
            raise InputError(f"tokens_per_shard must be 1 or more, found {tokens_per_shard}")
        self._directory = directory
        self._tokenizer = tokenizer
        self._token_type = token_type(tokenizer.vocabulary_size)
        self._tokens_per_shard = tokens_per_shard
        self._shards: list[GrowingFile] = []
        self._with_words = with_words
        self._words: list[GrowingBits] = []
        self._sentences = GrowingFile(directory / SENTENCES, INDEX_TYPE)
        self._documents = GrowingFile(directory / DOCUMENTS, INDEX_TYPE)
        self._last_document = -1
        self._tokens = 0
        self._begins_shard = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        last_shard = (*self._shards[-1:], *self._words[-1:])
        for file in (*last_shard, self._sentences, self._documents):
            file.close()

    @property
    def tokens(self) -> int:
        """The number of tokens written so far.

        Examples:
            >>> writer.tokens
            5
        """
        return self._tokens

    def add(
        self,
        tokens: np.ndarray,
        lengths: np.ndarray,
        documents: np.ndarray,
        continues: np.ndarray | None = None,
    ) -> None:
        """Adds sentences.

        Args:
            tokens: integers, (tokens,), the ids of all sentences in order.
            lengths: integers, (sentences,), the number of tokens of each sentence; empty sentences
                are skipped.
            documents: integers, (sentences,), the number of each sentence's document in its unit,
                from 0, non-decreasing.
            continues: bool, (tokens,), the tokens that continue the word of the token before;
                required with words.
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
            if self._with_words:
                assert continues is not None
                self._words[-1].append(continues[:room])
                continues = continues[room:]

    def end_unit(self) -> None:
        """Ends a unit: what is added later is of other documents, in other shards.

        Examples:
            >>> directory = pathlib.Path("units")
            >>> directory.mkdir()
            >>> with kerasbert.data.corpus.CorpusWriter(directory, tokenizer, 1000) as writer:
            ...     for ids in ([5, 6], [5, 7]):
            ...         writer.add(np.array(ids), np.array([2]), documents=np.array([0]))
            ...         writer.end_unit()
            ...     manifest = writer.finish()
            >>> manifest["documents"], len(manifest["shards"])
            (2, 2)
        """
        self._last_document = -1
        self._begins_shard = True

    def _begin_shard(self) -> None:
        for file in (*self._shards[-1:], *self._words[-1:]):
            file.close()  # limits on open files are low on some systems
        check_shards(len(self._shards) + 1)
        self._begins_shard = False
        number = len(self._shards)
        self._shards.append(GrowingFile(self._directory / shard_name(number), self._token_type))
        if self._with_words:
            self._words.append(GrowingBits(self._directory / words_name(number)))

    def finish(self, **metadata: Any) -> dict[str, Any]:
        """Completes the corpus.

        Args:
            **metadata: further entries of the manifest, of JSON types.

        Returns:
            Dict, the manifest.
        """
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
            words=[bits.close() for bits in self._words] if self._with_words else None,
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

    def close(self) -> dict[str, Any]:
        """Closes the file; returns its entry in the manifest."""
        self._file.close()
        return {"file": self._name, "count": self.count, "sha256": self._hash.hexdigest()}


class GrowingBits:
    """A file of bits, as `GrowingFile` is one of integers; the first of a byte is its lowest.

    Args:
        path: path of the file, which must not exist.
    """

    def __init__(self, path: pathlib.Path):
        self._bytes = GrowingFile(path, BITS)
        self._rest = np.zeros(0, bool)  # of less than a byte
        self._count = 0

    def append(self, bits: np.ndarray) -> None:
        """Appends bits: bool."""
        self._count += len(bits)
        bits = np.concatenate([self._rest, bits])
        whole = len(bits) // 8 * 8
        self._bytes.append(np.packbits(bits[:whole], bitorder="little"))
        self._rest = bits[whole:]

    def close(self) -> dict[str, Any]:
        """Closes the file; returns its entry in the manifest, which counts bits."""
        if len(self._rest):
            self._bytes.append(np.packbits(self._rest, bitorder="little"))
            self._rest = self._rest[:0]
        return {**self._bytes.close(), "count": self._count}
