"""Options of the programs that build a vocabulary and prepare a corpus."""

import dataclasses

from kerasbert.errors import InputError
from kerasbert.options import Options, Program, option
from kerasbert.recipes.options.shared import TEXT


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildVocabOptions(Options):
    """Options of `build_vocab`."""

    program = Program(
        TEXT,
        "Trains a WordPiece vocabulary on text.",
        ("--input 'text/*.txt' --vocab_size 8000 --output runs/mine/vocab.txt",),
    )

    input: list[str] = option(
        help="text: file, glob, URL (s3://, gs://, hf://datasets/...), tfds:NAME[:SPLIT] or "
        "hf:NAME[:CONFIG[:SPLIT]]; plain text with empty lines between documents, JSON lines, "
        ".parquet or WikiExtractor output, optionally .gz, .bz2, .xz or .zst; may be repeated"
    )
    text_column: str = option("text", help="the key, column or feature with the text")
    vocab_size: int = option(
        30_000,
        help="maximum vocabulary size, including the five special tokens",
        minimum=10,
        maximum=1_000_000,
    )
    output: str = option(help="vocabulary file to write")
    lowercase: bool = option(True, help="lower-case the text and strip accents")
    min_frequency: int = option(
        2, help="minimum frequency of a pair of subwords to be merged", minimum=1
    )
    alphabet_size: int | None = option(
        None,
        help="number of characters to keep, most frequent first; default: as many as cover 99.99 % "
        "of the text, in at most three quarters of the vocabulary",
        minimum=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareCorpusOptions(Options):
    """Options of `prepare_corpus`."""

    program = Program(
        TEXT,
        "Tokenizes text once, into shards for pretraining.",
        ("--input 'text/*.txt' --vocab runs/mine/vocab.txt\n--output runs/mine/corpus",),
    )

    input: list[str] = option(help="text, as in kerasbert build_vocab; may be repeated")
    vocab: str | None = option(None, help="WordPiece vocabulary file")
    tokenizer: str | None = option(
        None, help="instead of --vocab: a model, as in kerasbert convert, whose tokenizer to use"
    )
    output: str = option(help="corpus directory to write; must not exist")
    lowercase: bool = option(
        True, help="whether --vocab is lower-cased; must be as in kerasbert build_vocab"
    )
    tokens_per_shard: int = option(
        1 << 24, help="approximate number of tokens per shard", minimum=1
    )

    def __post_init__(self):
        super().__post_init__()
        if (self.vocab is None) == (self.tokenizer is None):
            raise InputError("either --vocab or --tokenizer must be given; --help lists the flags")
