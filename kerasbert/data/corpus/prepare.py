"""Preparation of a corpus: documents are split into sentences and tokenized, in one pass."""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from kerasbert import files
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.documents.reading import find_files, read_documents
from kerasbert.data.corpus.writer import CorpusWriter
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.tokenizer import Tokenizer

_LINES_PER_BATCH = 1024
_THREADS = os.cpu_count() or 1
# A sentence ends after a full stop, question mark or exclamation mark and any closing quotes and
# brackets, before white space; in Chinese and Japanese also without white space.
_SENTENCE_END = r"""([.!?…]["'”’»)\]]*)\s+|([。！？]["'”’」』）]*)"""


def prepare_corpus(
    inputs: Iterable[str],
    tokenizer: Tokenizer,
    output: str | os.PathLike,
    *,
    tokens_per_shard: int = 1 << 25,
    progress: Callable[[int], None] = lambda sentences: None,
) -> dict:
    """Tokenizes documents to a corpus directory, which appears when it is complete.

    Memory use is independent of the size of the input: only a few batches of lines are in memory.

    Args:
        inputs: see `kerasbert.data.corpus.documents.reading.read_documents`.
        tokenizer: `Tokenizer` that produces the ids.
        output: path of the directory, which must not exist.
        tokens_per_shard: integer, the maximum number of tokens per shard.
        progress: function that is called with the number of sentences after every batch.

    Returns:
        Dict, the manifest of the corpus.

    Raises:
        InputError: an input is invalid (see `read_documents`) or contains no text, or `output`
            exists.
    """
    inputs = find_files(inputs)
    report = Report()
    with (
        files.new_directory(output) as directory,
        CorpusWriter(directory, tokenizer, tokens_per_shard) as writer,
    ):
        for tokens, lengths, documents in _tokenize(_batches(inputs, report), tokenizer):
            writer.add(tokens, lengths, documents)
            progress(len(lengths))
        if not writer.tokens:
            raise InputError(f"there is no text in {', '.join(inputs)}")
        return writer.finish(
            inputs=inputs,
            empty_documents=report.empty,
            invalid_utf8_lines=report.invalid_utf8,
        )


def _batches(inputs: list[str], report: Report) -> Iterator[tuple[list[str], list[int]]]:
    """Iterates over batches of about a thousand lines and the indices of their documents."""
    lines: list[str] = []
    documents: list[int] = []
    for number, document in enumerate(read_documents(inputs, report)):
        lines += document
        documents += [number] * len(document)
        if len(lines) >= _LINES_PER_BATCH:
            yield lines, documents
            lines, documents = [], []
    if lines:
        yield lines, documents


def _tokenize(batches, tokenizer) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Iterates, in order, over token ids, sentence lengths and document indices of the batches."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def tokenize(lines):
        sentences = split_sentences(lines)
        ids = tokenizer.tokenize(sentences.flat_values)
        return ids.flat_values, ids.row_lengths(), sentences.value_rowids()

    def run(lines, documents):
        tokens, lengths, line = (x.numpy() for x in tokenize(tf.constant(lines)))
        return tokens, lengths, np.array(documents)[line]

    # Ops release the interpreter's lock, so threads keep all cores busy. The number of waiting
    # batches is limited, and so is memory.
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        running = collections.deque()
        for batch in batches:
            running.append(pool.submit(run, *batch))
            if len(running) > 2 * _THREADS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def split_sentences(lines: tf.Tensor) -> tf.RaggedTensor:
    """Splits lines into sentences by their punctuation, as TensorFlow ops.

    Args:
        lines: string tensor, (lines,).

    Returns:
        Ragged strings, (lines, sentences).
    """
    marked = tf.strings.regex_replace(lines, _SENTENCE_END, "\\1\\2\n")
    return tf.strings.split(marked, "\n")
