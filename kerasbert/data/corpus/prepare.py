"""Preparation of a corpus: documents are split into sentences and tokenized, in one pass."""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from kerasbert import files
from kerasbert.data.corpus.cleaning.selection import EVERYTHING, Selection
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.documents.reading import find_files
from kerasbert.data.corpus.part import BYTES_PER_UNIT, TOKENS_PER_SHARD, Part
from kerasbert.data.corpus.units import Unit, fingerprint, plan_units, share
from kerasbert.data.corpus.words import WordFinder
from kerasbert.data.corpus.writer import CorpusWriter
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf
from kerasbert.machine import available_cores
from kerasbert.text import BytePairTokenizer
from kerasbert.text.tokenizer import Tokenizer

_LINES_PER_BATCH = 1024
# A sentence ends after a full stop, question mark or exclamation mark and any closing quotes and
# brackets, before white space; in Chinese and Japanese, after one or more marks, also without. The
# marks after the ellipsis are of Arabic, Urdu, Indian languages (two), Armenian, Amharic, Burmese
# and Khmer.
_SENTENCE_END = r"""([.!?…؟۔।॥։።။។]["'”’»)\]]*)(\s+)|([。！？]+["'”’」』）]*)"""


def prepare_corpus(
    inputs: Iterable[str | os.PathLike[str]],
    tokenizer: Tokenizer,
    output: str | os.PathLike[str],
    *,
    tokens_per_shard: int = TOKENS_PER_SHARD,
    bytes_per_unit: int = BYTES_PER_UNIT,
    part: Part | None = None,
    selection: Selection = EVERYTHING,
    threads: int | None = None,
    words: WordFinder | None = None,
    progress: Callable[[int], object] = lambda sentences: None,
) -> dict[str, Any]:
    """Tokenizes documents to a corpus directory, which appears when it is complete.

    Memory use is independent of the size of the input: only a few batches are in memory, each of
    about a thousand lines, or more if a document has more. A document of plain text has at most
    64 MiB (see `read_documents`). The same inputs and settings give the same bytes, also if the
    corpus is made in parts, which `kerasbert.data.corpus.join_corpora` joins.

    Args:
        inputs: see `kerasbert.data.corpus.documents.reading.read_documents`.
        tokenizer: `Tokenizer` that produces the ids.
        output: path of the directory, which must not exist.
        tokens_per_shard: integer, the maximum number of tokens per shard.
        bytes_per_unit: integer, the maximum number of bytes of text per unit (see
            `kerasbert.data.corpus.units`); a shard has documents of one unit.
        part: `Part` to prepare, or None for the whole corpus. It is a corpus of its own, with a
            share of the units, and may be without text.
        selection: `Selection`, what of the inputs becomes the corpus.
        threads: integer, the number of threads that tokenize. Defaults to the number of cores that
            this process may use.
        words: `WordFinder` that finds words of several tokens, which masking can use, or None.
        progress: function that is called with the number of sentences after every batch.

    Returns:
        Dict, the manifest of the corpus.

    Raises:
        InputError: an input is invalid (see `read_documents`) or contains no text, `output`
            exists, or the words of a segmenter are not those of the text.

    Examples:
        A file of two documents, with an empty line between them; here with a vocabulary of a few
        words, usually with one of `kerasbert.text.train_vocabulary` or of a model.

        >>> import pathlib
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "barks", "."]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> text = "The dog barks. The dog.\\n\\nThe dog barks. It barks.\\n"
        >>> size = pathlib.Path("text.txt").write_text(text)
        >>> manifest = kerasbert.data.prepare_corpus(["text.txt"], tokenizer, "corpus")
        >>> manifest["documents"], manifest["sentences"], manifest["tokens"]
        (2, 4, 14)
    """
    if bytes_per_unit < 1:
        raise InputError(f"bytes_per_unit must be 1 or more, found {bytes_per_unit}")
    inputs = find_files(inputs)
    selection.check(inputs)
    units = plan_units(inputs, bytes_per_unit)
    metadata = {"inputs": inputs}
    found_by = {"found_words_by": words.settings} if words else {}
    if part:
        settings = {"tokens_per_shard": tokens_per_shard, "bytes_per_unit": bytes_per_unit}
        settings |= found_by | selection.metadata()
        metadata = _of_part(part, units, settings)
        units = share(units, part)
    tokenize = _tokenizing(tokenizer, threads or available_cores(), words)
    report = Report()
    with (
        files.new_directory(output) as directory,
        CorpusWriter(directory, tokenizer, tokens_per_shard, with_words=bool(words)) as writer,
    ):
        for unit in units:
            for tokens, lengths, *more in tokenize(_batches(unit, selection, report)):
                writer.add(tokens, lengths, *more)
                progress(len(lengths))
            writer.end_unit()
        if not (part or writer.tokens):
            raise InputError(f"there is no text in {', '.join(inputs)}")
        return writer.finish(
            **metadata,
            **found_by,
            empty_documents=report.empty,
            invalid_utf8_lines=report.invalid_utf8,
            **selection.metadata(),
            **selection.counts(report),
        )


def _of_part(part: Part, units: list[Unit], settings: dict) -> dict:
    """Returns what the manifest says about the inputs of a part."""
    pieces = [piece for unit in share(units, part) for piece in unit]
    inputs = {piece.input: piece.source for piece in pieces}
    return {
        "inputs": list(inputs.values()),
        "part": {
            "number": part.number,
            "of": part.of,
            "first_input": min(inputs, default=0),
            "inputs_sha256": fingerprint(units),
            "settings": settings,
        },
    }


def _batches(
    unit: Unit, selection: Selection, report: Report
) -> Iterator[tuple[list[str], list[int]]]:
    """Iterates over batches of about a thousand lines and the numbers of their documents."""
    lines: list[str] = []
    documents: list[int] = []
    number = 0
    for piece in unit:
        for _, document in selection.read(
            piece.input, piece.source, piece.start, piece.end, report=report
        ):
            lines += document
            documents += [number] * len(document)
            number += 1
            if len(lines) >= _LINES_PER_BATCH:
                yield lines, documents
                lines, documents = [], []
    if lines:
        yield lines, documents


def _tokenizing(
    tokenizer: Tokenizer, threads: int, words: WordFinder | None
) -> Callable[[Iterable], Iterator[tuple]]:
    """Returns a function from batches to the arguments of `CorpusWriter.add`."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def tokenize(lines):
        # In byte-level BPE, the space before a word belongs to its first token; without it, the
        # token would be the one that continues a word.
        keeps_space = isinstance(tokenizer, BytePairTokenizer)
        sentences = split_sentences(lines, keeps_space=keeps_space)
        if words:
            ids, *offsets = tokenizer.tokenize_with_offsets(sentences.flat_values)
            text = [sentences.flat_values, *(each.flat_values for each in offsets)]
        else:
            ids, text = tokenizer.tokenize(sentences.flat_values), []
        return ids.flat_values, ids.row_lengths(), sentences.value_rowids(), *text

    tokenize = tokenize.get_concrete_function()  # without warnings that other corpora had their own

    def run(lines, documents):
        tokens, lengths, line, *text = (x.numpy() for x in tokenize(tf.constant(lines)))
        return tokens, lengths, np.array(documents)[line], words and words(lengths, *text)

    def in_order(batches):
        # Ops release the interpreter's lock, so threads keep all cores busy. The number of waiting
        # batches is limited, and so is memory.
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            running = collections.deque()
            for batch in batches:
                running.append(pool.submit(run, *batch))
                if len(running) > 2 * threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()

    return in_order


def split_sentences(lines: tf.Tensor, *, keeps_space: bool = False) -> tf.RaggedTensor:
    """Splits lines into sentences by their punctuation, as TensorFlow ops.

    Args:
        lines: string tensor, (lines,).
        keeps_space: whether a sentence starts with the white space before it, which is dropped
            otherwise.

    Returns:
        Ragged strings, (lines, sentences).
    """
    ends = "\\1\\3\n\\2" if keeps_space else "\\1\\3\n"
    return tf.strings.split(tf.strings.regex_replace(lines, _SENTENCE_END, ends), "\n")
