"""A corpus, tokenized once: compact shards, a manifest, random access.

    manifest.json           format, tokenizer, counts, inputs, and for each shard its counts and
                            the SHA-256 of its files
    vocab.txt               the vocabulary the ids belong to
    00000.tokens.npy        uint16 (uint32 over 65,536 pieces), every token of the shard
    00000.sentences.npy     int64, where each sentence starts in it, and its end
    00000.documents.npy     int64, where each document starts in `sentences`, and its end
    00001.tokens.npy        ...
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.text.vocabulary import save_vocabulary
from kerasbert.text.wordpiece import WordPieceTokenizer

FORMAT, VERSION = "kerasbert-corpus", 1
MANIFEST, VOCABULARY = "manifest.json", "vocab.txt"
_PARTS = ("tokens", "sentences", "documents")


class ShardWriter:
    """Collects tokenized sentences and writes them in shards of about `tokens_per_shard`.

    Holds no more than a shard and the batch being added. A document is never split over shards.

    Args:
        directory: where the files go; exists.
        vocabulary_size: decides the type of the tokens.
        tokens_per_shard: tokens after which a shard is written.
    """

    def __init__(self, directory: pathlib.Path, vocabulary_size: int, tokens_per_shard: int):
        self.directory = directory
        self.dtype = np.uint16 if vocabulary_size <= 1 << 16 else np.uint32
        self.tokens_per_shard = tokens_per_shard
        self.shards: list[dict] = []
        self._buffer: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._buffered = 0

    def add(self, tokens: np.ndarray, lengths: np.ndarray, documents: np.ndarray) -> None:
        """Adds sentences.

        Args:
            tokens: ids, (tokens,), sentence after sentence.
            lengths: tokens of each sentence, (sentences,).
            documents: number of the document of each sentence, (sentences,), never falling.
        """
        kept = lengths > 0
        self._buffer.append((tokens.astype(self.dtype), lengths[kept], documents[kept]))
        self._buffered += len(tokens)
        if self._buffered >= self.tokens_per_shard:
            self._flush(last=False)

    def close(self) -> None:
        """Writes what is left."""
        self._flush(last=True)

    def _flush(self, *, last: bool) -> None:
        if not self._buffer:
            return
        tokens, lengths, documents = map(np.concatenate, zip(*self._buffer, strict=True))
        if not last:  # the last document may go on in the next batch
            sentences = int(np.searchsorted(documents, documents[-1]))
        else:
            sentences = len(lengths)
        end = int(lengths[:sentences].sum())
        if sentences:
            self._write(tokens[:end], lengths[:sentences], documents[:sentences])
        self._buffer = [(tokens[end:], lengths[sentences:], documents[sentences:])]
        self._buffered = len(tokens) - end

    def _write(self, tokens, lengths, documents) -> None:
        first_of_document = np.flatnonzero(np.diff(documents, prepend=-1))
        arrays = {
            "tokens": tokens,
            "sentences": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            "documents": np.append(first_of_document, len(lengths)).astype(np.int64),
        }
        number, hashes = len(self.shards), {}
        for part, array in arrays.items():
            path = self.directory / _file_name(number, part)
            np.save(path, array)
            hashes[path.name] = files.sha256(path)
        self.shards.append(
            {
                "tokens": len(tokens),
                "sentences": len(lengths),
                "documents": len(first_of_document),
                "sha256": hashes,
            }
        )


def _file_name(shard: int, part: str) -> str:
    return f"{shard:05d}.{part}.npy"


def write_manifest(
    directory: pathlib.Path, tokenizer: WordPieceTokenizer, shards: list[dict], **facts
) -> dict:
    """Writes the manifest and the vocabulary beside the shards; returns the manifest."""
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        **{part: sum(shard[part] for shard in shards) for part in _PARTS},
        **facts,
        "tokenizer": tokenizer.get_config(),
        "shards": shards,
    }
    save_vocabulary(tokenizer.vocabulary, directory / VOCABULARY)
    files.write_json(directory / MANIFEST, manifest)
    return manifest


@dataclasses.dataclass(frozen=True)
class _Shard:
    tokens: np.ndarray
    sentences: np.ndarray
    documents: np.ndarray


@dataclasses.dataclass(frozen=True)
class Place:
    """A sentence in a corpus, and the document around it; offsets into the shard's tokens.

    Attributes:
        shard: number of the shard.
        sentence: number of the sentence in the shard.
        first: the document's first sentence.
        last: one past the document's last sentence.
    """

    shard: int
    sentence: int
    first: int
    last: int

    @property
    def document(self) -> tuple[int, int]:
        """What tells this document from all others."""
        return self.shard, self.first


class Corpus:
    """A prepared corpus, mapped into memory, not read into it.

    Args:
        directory: what `prepare_corpus` wrote.
        verify: compare every file with its checksum (reads all of it once).

    Raises:
        InputError: no corpus there, or an unfinished or damaged one; the message names the file.
    """

    def __init__(self, directory: str | os.PathLike, *, verify: bool = True):
        self.directory = pathlib.Path(directory)
        self.manifest = self._read_manifest()
        config = self.manifest["tokenizer"]
        self.tokenizer = WordPieceTokenizer(
            self.directory / VOCABULARY, config["lowercase"], config["strip_accents"]
        )
        if self.tokenizer.vocabulary_sha256 != config["vocabulary_sha256"]:
            raise InputError(f"{self.directory / VOCABULARY}: is not the vocabulary of this corpus")
        self._shards = [
            self._open(number, shard, verify) for number, shard in enumerate(self.manifest["shards"])
        ]
        # Where each shard starts when all tokens stand in one row.
        self._starts = np.cumsum([0] + [len(shard.tokens) for shard in self._shards])

    @property
    def tokens(self) -> int:
        """Tokens in the corpus."""
        return int(self._starts[-1])

    @property
    def documents(self) -> int:
        """Documents in the corpus."""
        return self.manifest["documents"]

    def place(self, token: int) -> Place:
        """The sentence that holds the token with this number, counted over the whole corpus."""
        number = int(np.searchsorted(self._starts, token, side="right")) - 1
        shard = self._shards[number]
        local = token - self._starts[number]
        sentence = int(np.searchsorted(shard.sentences, local, side="right")) - 1
        document = int(np.searchsorted(shard.documents, sentence, side="right")) - 1
        first, last = shard.documents[document], shard.documents[document + 1]
        return Place(number, sentence, int(first), int(last))

    def sentence_bounds(self, place: Place) -> np.ndarray:
        """Where the sentences of the place's document start in the shard, and the last one's end.

        Returns:
            int64, (sentences + 1,).
        """
        return self._shards[place.shard].sentences[place.first : place.last + 1]

    def read(self, place: Place, start: int, end: int) -> np.ndarray:
        """Tokens `start` to `end` of the place's shard."""
        return self._shards[place.shard].tokens[start:end]

    def token_counts(self) -> np.ndarray:
        """How often each id occurs, (vocabulary,); reads the whole corpus once."""
        size = self.tokenizer.vocabulary_size
        return sum(np.bincount(shard.tokens, minlength=size) for shard in self._shards)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        """Every document, as a list of its sentences' ids."""
        for shard in self._shards:
            for first, last in zip(shard.documents[:-1], shard.documents[1:], strict=True):
                bounds = shard.sentences[first : last + 1]
                yield [shard.tokens[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]

    def _read_manifest(self) -> dict:
        path = self.directory / MANIFEST
        if not self.directory.is_dir():
            raise InputError(f"{self.directory}: no such corpus directory")
        if not path.exists():
            raise InputError(f"{self.directory}: has no {MANIFEST}, so it is no finished corpus")
        manifest = files.read_json(path)
        if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
            raise InputError(f"{path}: is not a {FORMAT} manifest of version {VERSION}")
        if not manifest["shards"]:
            raise InputError(f"{path}: the corpus is empty")
        return manifest

    def _open(self, number: int, facts: dict, verify: bool) -> _Shard:
        arrays = {}
        for part in _PARTS:
            path = self.directory / _file_name(number, part)
            if verify:
                self._verify(path, facts["sha256"][path.name])
            try:
                # As a plain array on the mapping: np.memmap itself is slow to slice.
                arrays[part] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: can't be read: {error}") from None
        if len(arrays["tokens"]) != facts["tokens"]:
            raise InputError(f"{path}: is not of the length that {MANIFEST} says")
        return _Shard(**arrays)

    def _verify(self, path: pathlib.Path, expected: str) -> None:
        if not path.exists():
            raise InputError(f"{path}: this shard is missing; prepare the corpus again")
        if files.sha256(path) != expected:
            raise InputError(
                f"{path}: this shard is damaged (its SHA-256 differs); prepare the corpus again"
            )


def same_vocabulary(corpora: Iterable[Corpus]) -> None:
    """Raises `InputError` if the corpora were not prepared with one tokenizer."""
    first, *others = corpora
    for other in others:
        if other.manifest["tokenizer"] != first.manifest["tokenizer"]:
            raise InputError(
                f"{other.directory} and {first.directory} were prepared with different tokenizers"
            )
