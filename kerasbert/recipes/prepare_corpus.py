"""Tokenizing text into a corpus."""

import os
from collections.abc import Callable
from typing import Any

from kerasbert import files, loading
from kerasbert.data.corpus import prepare, remote
from kerasbert.data.corpus.cleaning.duplicates import Duplicates
from kerasbert.data.corpus.cleaning.selection import Selection
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.part import Part
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.corpus.words import WordFinder
from kerasbert.recipes.build_vocab import warn_of_unknown
from kerasbert.recipes.find_duplicates import search
from kerasbert.recipes.options import PrepareCorpusOptions
from kerasbert.text import Tokenizer, WordPieceTokenizer
from kerasbert.training.progress import ProgressBar


def prepare_corpus(options: PrepareCorpusOptions) -> dict[str, Any]:
    """Tokenizes text into shards; returns counts of documents, sentences and tokens."""
    with ProgressBar("tokenize", None, "sentences") as bar:
        return without_bar(options, bar.update)


def without_bar(
    options: PrepareCorpusOptions, progress: Callable[[int], object] = lambda sentences: None
) -> dict[str, Any]:
    """Does what `prepare_corpus` does, without a progress bar."""
    with remote.written(options.output) as directory:
        return _prepare(options, directory, progress)


def _prepare(
    options: PrepareCorpusOptions, directory: str | os.PathLike, progress: Callable[[int], object]
) -> dict:
    files.refuse_existing(directory)  # before duplicates are looked for
    tokenizer = load_tokenizer(options)
    words = word_finder(options, tokenizer)
    selection = _selection(options)
    manifest = prepare.prepare_corpus(
        options.input,
        tokenizer,
        directory,
        tokens_per_shard=options.tokens_per_shard,
        bytes_per_unit=options.bytes_per_unit,
        part=Part.parse(options.part) if options.part else None,
        selection=selection,
        threads=options.threads,
        words=words,
        progress=progress,
    )
    unknown = _unknown_share(directory, tokenizer) if manifest["tokens"] else 0.0
    warn_of_unknown(options.output, unknown)
    return {**summary(options.output, manifest), "unknown_share": round(unknown, 6)}


def load_tokenizer(options: PrepareCorpusOptions) -> Tokenizer:
    """Returns the tokenizer that the options name."""
    if options.vocab:
        return WordPieceTokenizer(options.vocab, lowercase=options.lowercase)
    return loading.tokenizer_from_preset(str(options.tokenizer))


def word_finder(options: PrepareCorpusOptions, tokenizer: Tokenizer) -> WordFinder | None:
    """Returns what finds words, if the options name a segmenter or phrases."""
    if options.word_segmenter == "none" and not options.phrases:
        return None
    return WordFinder(tokenizer, options.word_segmenter, options.phrases)


def summary(corpus: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """Returns the counts of a corpus."""
    shown = ("tokens", "sentences", "documents", "empty_documents", "invalid_utf8_lines")
    return {
        "corpus": corpus,
        **{name: manifest[name] for name in (*shown, "left_out") if name in manifest},
        "shards": len(manifest["shards"]),
    }


def _selection(options: PrepareCorpusOptions) -> Selection:
    """Returns what is read; finds the duplicates first if that is wanted."""
    duplicates = None
    if options.duplicates:
        duplicates = Duplicates.load(options.duplicates)
    elif options.dedup:
        duplicates = search(options, options.dedup, Report(named_lines=0))
    return Selection(
        text_column=options.text_column, filters=options.filters, duplicates=duplicates
    )


def _unknown_share(corpus: str | os.PathLike, tokenizer: Tokenizer) -> float:
    """Returns the share of [UNK] among the tokens of a corpus, which is verified."""
    counts = Corpus(corpus).token_counts()
    return float(counts[tokenizer.unknown_id] / counts.sum())
