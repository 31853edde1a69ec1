"""Building a vocabulary from text."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from kerasbert import files
from kerasbert.data.corpus.documents.lines import Report
from kerasbert.data.corpus.documents.reading import read_documents
from kerasbert.errors import InputError
from kerasbert.recipes.options import BuildVocabOptions
from kerasbert.text import WordPieceTokenizer
from kerasbert.text.vocabulary import save_vocabulary, train_vocabulary, vocabulary_sha256
from kerasbert.training.progress import log


def build_vocab(options: BuildVocabOptions) -> dict[str, Any]:
    """Trains and writes a WordPiece vocabulary; returns its size, hash and share of [UNK]."""
    with files.locked(options.output):
        files.refuse_existing(options.output)
        return _build_vocab(options)


def _build_vocab(options: BuildVocabOptions) -> dict:
    report = Report()
    vocabulary = train_vocabulary(
        _texts(options, report),
        options.vocab_size,
        lowercase=options.lowercase,
        min_frequency=options.min_frequency,
        alphabet_size=options.alphabet_size,
    )
    save_vocabulary(vocabulary, options.output)
    unknown = _unknown_share(
        WordPieceTokenizer(vocabulary, lowercase=options.lowercase),
        _texts(options, Report(named_lines=0)),
    )
    warn_of_unknown(options.output, unknown)
    return {
        "vocabulary": options.output,
        "size": len(vocabulary),
        "unknown_share": round(unknown, 6),
        "sha256": vocabulary_sha256(vocabulary),
        "documents": report.documents,
        "invalid_utf8_lines": report.invalid_utf8,
    }


def _texts(options: BuildVocabOptions, report: Report) -> Iterator[str]:
    for document in read_documents(options.input, report, text_column=options.text_column):
        yield from document
    if not report.documents:
        raise InputError(f"there is no text in {', '.join(options.input)}")


def _unknown_share(tokenizer: WordPieceTokenizer, texts: Iterator[str]) -> float:
    """Returns the share of [UNK] among the texts' tokens."""
    unknown = total = 0
    while batch := list(itertools.islice(texts, 1024)):
        ids = tokenizer.tokenize(batch).flat_values.numpy()
        unknown, total = unknown + np.sum(ids == tokenizer.unknown_id), total + len(ids)
    return float(unknown / total) if total else 0.0


def warn_of_unknown(source: str, share: float) -> None:
    """Logs a warning if more than 1 % of a text's tokens are [UNK]."""
    if share > 0.01:
        log(
            f"{source}: {share:.1%} of the tokens are [UNK], the token for words with "
            "characters that are not in the vocabulary; consider a vocabulary built from this text"
        )
