"""Text -> vocabulary."""

import dataclasses
import itertools
import pathlib

from kerasbert.data.documents import Report, read_documents
from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.text.vocabulary import save_vocabulary, train_vocabulary, vocabulary_sha256


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildVocabOptions:
    """Options of `build_vocab`."""

    input: list[str] = option(
        help="file, glob or tfds:NAME[:SPLIT] with text; plain text with empty lines between "
        "documents, JSON lines with 'text', WikiExtractor output, also .gz; may be repeated"
    )
    vocab_size: int = option(30_000, help="pieces at the most, the five special tokens included")
    output: str = option(help="the vocabulary file to write")
    lowercase: bool = option(True, help="lower-case the text and drop accents")
    min_frequency: int = option(2, help="how often pieces must meet to be joined")
    alphabet_size: int | None = option(
        None, help="different characters kept, the most frequent; default: vocab_size / 4"
    )


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
