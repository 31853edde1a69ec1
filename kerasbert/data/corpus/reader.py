"""Reading of a corpus, with random access."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator

import numpy as np

from kerasbert import files
from kerasbert.data.corpus import remote
from kerasbert.data.corpus.manifest import (
    BITS,
    DOCUMENTS,
    INDEX_TYPE,
    SENTENCES,
    read_manifest,
    shard_name,
    token_type,
)
from kerasbert.data.corpus.mapping import mapped, read_at_random, shared_tensor
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.text import load_tokenizer

#: Marks of tokens that continue the word of the token before, and of those that begin one. They are
#: negative, so that rows of them can be packed with the ids of special tokens.
CONTINUES, BEGINS = -2, -1
_BLOCK = 1 << 22  # numbers that are read at once


class Corpus:
    """A prepared corpus, memory-mapped.

    Args:
        directory: path of a directory written by `prepare_corpus`, or a URL, from which it is
            downloaded once (see `kerasbert.data.corpus.remote.local`).
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

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> text = "The dog barks. The dog.\\n\\nThe dog barks. It barks.\\n"
        >>> size = pathlib.Path("text.txt").write_text(text)
        >>> manifest = kerasbert.data.prepare_corpus(["text.txt"], tokenizer, "corpus")
        >>> corpus = kerasbert.data.Corpus("corpus")
        >>> list(corpus)[0]  # the sentences of the first document
        [[5, 6, 7, 8], [5, 6, 8]]
        >>> corpus.sentences.tolist(), corpus.documents.tolist()
        ([0, 4, 7, 11, 14], [0, 2, 4])
    """

    def __init__(self, directory: str | os.PathLike[str], *, verify: bool = True):
        self.directory = remote.local(directory)
        with remote.copy_named(directory, self.directory):
            self._open(verify)

    def _open(self, verify: bool) -> None:
        self.manifest = read_manifest(self.directory)
        if not self.manifest["shards"]:
            raise InputError(f"{self.directory}: this part of a corpus has no text; only join it")
        self.tokenizer = load_tokenizer(self.directory, self.manifest["tokenizer"])
        shards, words = self.manifest["shards"], self.manifest.get("words", [])
        if verify:
            for metadata in (*shards, *self.manifest["index"], *words):
                self._verify(metadata)
        self._tokens, begins = self._map(shards, token_type(self.tokenizer.vocabulary_size))
        self._shard_starts = np.cumsum([0, *(metadata["count"] for metadata in shards)])
        # What to add to the position of a token in the corpus for its position in `_tokens`.
        self._gaps = begins - self._shard_starts[:-1]
        if words:
            self._words, begins = self._map(words, BITS)
            read_at_random(self._words)
            self._word_gaps = 8 * begins - self._shard_starts[:-1]
        self.sentences, self.documents = (
            self._map([metadata], INDEX_TYPE)[0][: metadata["count"]]
            for metadata in self.manifest["index"]
        )
        self._check_index(SENTENCES, self.sentences, self.num_tokens, thoroughly=verify)
        self._check_index(DOCUMENTS, self.documents, self.manifest["sentences"], thoroughly=verify)
        if verify:
            self._check_ids()
        for values in (self._tokens, self.sentences, self.documents):
            read_at_random(values)

    @property
    def num_tokens(self) -> int:
        """The number of tokens in the corpus.

        Examples:
            >>> corpus.num_tokens
            14
        """
        return self.manifest["tokens"]

    @property
    def num_documents(self) -> int:
        """The number of documents in the corpus.

        Examples:
            >>> corpus.num_documents
            2
        """
        return self.manifest["documents"]

    @property
    def has_words(self) -> bool:
        """Whether the corpus says which tokens continue a word; see `WordFinder`.

        Examples:
            >>> corpus.has_words
            False
        """
        return "words" in self.manifest

    def tokens_at(self, positions: np.ndarray) -> np.ndarray:
        """Returns the ids at positions, counted from the beginning of the corpus.

        Args:
            positions: integers, of any shape.

        Returns:
            int32, of the same shape.

        Examples:
            >>> import numpy as np
            >>> corpus.tokens_at(np.array([0, 1, 13])).tolist()
            [5, 6, 8]
        """
        return self._tokens[self._stored_at(positions, self._gaps)].astype(np.int32)

    def word_marks_at(self, positions: np.ndarray) -> np.ndarray:
        """Returns `CONTINUES` or `BEGINS` for the tokens at positions: int32.

        In a corpus without words, these are the marks of the tokenizer.

        Args:
            positions: integers, of any shape.

        Returns:
            int32, of the same shape: -2 for `CONTINUES`, -1 for `BEGINS`.

        Examples:
            >>> import numpy as np
            >>> corpus.word_marks_at(np.array([0, 1])).tolist()
            [-1, -1]
        """
        if self.has_words:
            stored = self._stored_at(positions, self._word_gaps)
            continues = self._words[stored // 8] >> (stored % 8).astype(np.uint8) & 1
        else:
            continues = self.tokenizer.continues_word[self.tokens_at(positions)]
        return np.where(continues, CONTINUES, BEGINS).astype(np.int32)

    def _stored_at(self, positions: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        return positions + gaps[np.searchsorted(self._shard_starts, positions, side="right") - 1]

    @functools.cached_property
    def index_tensors(self) -> tuple[tf.Tensor, tf.Tensor]:
        """`sentences` and `documents` as tensors."""
        return shared_tensor(self.sentences), shared_tensor(self.documents)

    @functools.cached_property
    def _token_tensor(self) -> tf.Tensor:
        return shared_tensor(self._tokens)

    @functools.cached_property
    def _word_tensor(self) -> tf.Tensor:
        return shared_tensor(self._words)

    @property
    def _shards(self) -> Iterator[np.ndarray]:
        """The ids of each shard."""
        for start, end, gap in zip(
            self._shard_starts[:-1], self._shard_starts[1:], self._gaps, strict=True
        ):
            yield self._tokens[start + gap : end + gap]

    def read(self, starts: tf.Tensor, ends: tf.Tensor) -> tf.RaggedTensor:
        """Reads ranges of tokens, as TensorFlow ops.

        Args:
            starts: int64, (rows,), the first token of each range, counted from the beginning of the
                corpus.
            ends: int64, (rows,), the end of each range, exclusive.

        Returns:
            int32, ragged, (rows, tokens).

        Examples:
            >>> import tensorflow as tf
            >>> starts, ends = tf.constant([0, 4], tf.int64), tf.constant([4, 7], tf.int64)
            >>> corpus.read(starts, ends).to_list()
            [[5, 6, 7, 8], [5, 6, 8]]
        """
        stored = self._ranges(starts, ends, self._gaps)
        ids = tf.gather(self._token_tensor, stored.flat_values)
        return stored.with_flat_values(tf.cast(ids, tf.int32))

    def read_word_marks(self, starts: tf.Tensor, ends: tf.Tensor) -> tf.RaggedTensor:
        """Reads the marks of `word_marks_at`, as `read` does.

        Args:
            starts: int64, (rows,), the first token of each range.
            ends: int64, (rows,), the end of each range, exclusive.

        Returns:
            int32, ragged, (rows, tokens).

        Examples:
            >>> import tensorflow as tf
            >>> starts, ends = tf.constant([0], tf.int64), tf.constant([4], tf.int64)
            >>> corpus.read_word_marks(starts, ends).to_list()
            [[-1, -1, -1, -1]]
        """
        if not self.has_words:
            ids = self.read(starts, ends)
            continues = tf.gather(self.tokenizer.continues_word, ids.flat_values)
            return ids.with_flat_values(tf.where(continues, CONTINUES, BEGINS))
        stored = self._ranges(starts, ends, self._word_gaps)
        byte = tf.gather(self._word_tensor, stored.flat_values // 8)
        bit = tf.bitwise.right_shift(byte, tf.cast(stored.flat_values % 8, tf.uint8)) & 1
        return stored.with_flat_values(tf.where(bit == 1, CONTINUES, BEGINS))

    def _ranges(self, starts: tf.Tensor, ends: tf.Tensor, gaps: np.ndarray) -> tf.RaggedTensor:
        wanted = tf.ragged.range(starts, ends)
        positions = wanted.flat_values
        if len(gaps) == 1:
            return wanted
        shard = tf.searchsorted(tf.constant(self._shard_starts), positions, side="right") - 1
        return wanted.with_flat_values(positions + tf.gather(gaps, shard))

    def token_counts(self) -> np.ndarray:
        """Counts the occurrences of each id; reads the whole corpus once.

        Returns:
            int64, (vocabulary_size,).

        Examples:
            >>> dict(zip(words, corpus.token_counts().tolist()))["dog"]
            3
        """
        return self._token_counts.copy()

    @functools.cached_property
    def _token_counts(self) -> np.ndarray:
        size = self.tokenizer.vocabulary_size
        dtype = token_type(size)
        counts = np.zeros(size, np.int64)
        for metadata in self.manifest["shards"]:  # in order, unlike the mapped files
            for start in range(0, metadata["count"], _BLOCK):
                path, offset = self.directory / metadata["file"], start * dtype.itemsize
                ids = np.fromfile(path, dtype, _BLOCK, offset=offset)
                counts += np.bincount(ids, minlength=size)
        return counts

    def __iter__(self) -> Iterator[list[list[int]]]:
        """Iterates over the documents, each a list of lists of ids, one list per sentence."""
        for first, last in zip(self.documents[:-1], self.documents[1:], strict=True):
            bounds = self.sentences[first : last + 1]
            tokens = self.tokens_at(np.arange(bounds[0], bounds[-1]))
            yield [part.tolist() for part in np.split(tokens, bounds[1:-1] - bounds[0])]

    def _check_index(self, name: str, starts: np.ndarray, end: int, *, thoroughly: bool) -> None:
        """Raises `InputError` unless an index increases from 0 to `end`."""
        right = starts[0] == 0 and starts[-1] == end
        for first in range(0, len(starts) if thoroughly else 0, _BLOCK):  # in constant memory
            block = starts[first : first + _BLOCK + 1]
            right = right and np.all(block[:-1] < block[1:])
        if not right:
            raise InputError(f"{self.directory / name}: does not increase from 0 to {end}")

    def _check_ids(self) -> None:
        size = self.tokenizer.vocabulary_size
        for number, shard in enumerate(self._shards):
            if (largest := shard.max()) >= size:
                path = self.directory / shard_name(number)
                raise InputError(
                    f"{path}: contains the id {largest}, but the vocabulary has {size:,} tokens"
                )

    def _verify(self, metadata: dict) -> None:
        path = self.directory / metadata["file"]
        if not path.is_file():
            raise InputError(f"{path}: is missing; prepare the corpus again")
        if files.sha256(path) != metadata["sha256"]:
            raise InputError(f"{path}: is damaged (its SHA-256 differs); prepare the corpus again")

    def _map(self, listed: list[dict], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        paths = [self.directory / metadata["file"] for metadata in listed]
        counts = [metadata["count"] for metadata in listed]
        if dtype == BITS:
            counts = [-(-count // 8) for count in counts]
        return mapped(paths, counts, dtype)


def same_vocabulary(corpora: Iterable[Corpus]) -> None:
    """Raises `InputError` unless all corpora were prepared with the same tokenizer.

    Args:
        corpora: `Corpus`es, at least one.

    Raises:
        InputError: a tokenizer differs from the first one.

    Examples:
        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> text = "The dog barks. The dog.\\n\\nThe dog barks. It barks.\\n"
        >>> size = pathlib.Path("text.txt").write_text(text)
        >>> manifest = kerasbert.data.prepare_corpus(["text.txt"], tokenizer, "corpus")
        >>> corpus = kerasbert.data.Corpus("corpus")
        >>> kerasbert.data.corpus.same_vocabulary([corpus, corpus])
    """
    first, *others = corpora
    for other in others:
        if other.manifest["tokenizer"] != first.manifest["tokenizer"]:
            raise InputError(
                f"{other.directory} and {first.directory} were prepared with different tokenizers"
            )
