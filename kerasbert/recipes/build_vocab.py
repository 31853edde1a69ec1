"""Text -> vocabulary."""

import itertools
import pathlib

from kerasbert.data.documents import Report, read_documents
from kerasbert.errors import InputError
from kerasbert.recipes.options import BuildVocabOptions
from kerasbert.text.vocabulary import save_vocabulary, train_vocabulary, vocabulary_sha256


def build_vocab(options: BuildVocabOptions) -> dict:
    """Trains a WordPiece vocabulary and writes it; returns its size and hash."""
    if pathlib.Path(options.output).exists():
        raise InputError(f"{options.output} exists already; choose another --output or remove it")
    report = Report()
    documents = read_documents(options.input, report)
    vocabulary = train_vocabulary(
        itertools.chain.from_iterable(documents),
        options.vocab_size,
        lowercase=options.lowercase,
        min_frequency=options.min_frequency,
        alphabet_size=options.alphabet_size,
    )
    save_vocabulary(vocabulary, options.output)
    return {
        "vocabulary": options.output,
        "size": len(vocabulary),
        "sha256": vocabulary_sha256(vocabulary),
        "documents": report.documents,
        "invalid_utf8_lines": report.invalid_utf8,
    }
