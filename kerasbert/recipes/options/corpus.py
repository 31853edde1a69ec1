"""Options of the programs that build a vocabulary and prepare a corpus."""

import dataclasses
import os

from kerasbert.data.corpus.part import BYTES_PER_UNIT, TOKENS_PER_SHARD, Part
from kerasbert.data.corpus.segmenters import check_name
from kerasbert.errors import InputError
from kerasbert.options import LARGEST_SEED, Options, Program, option
from kerasbert.recipes.options.selection import SelectionOptions, check_kinds
from kerasbert.recipes.options.shared import (
    MAX_VOCABULARY,
    MIN_VOCABULARY,
    TEXT,
    check_directory,
    check_file,
    check_model,
)


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
        ".parquet or WikiExtractor output, optionally .gz, .bz2, .xz or .zst; may be repeated",
        reads=check_file,
    )
    text_column: str = option("text", help="the key, column or feature with the text")
    vocab_size: int = option(
        30_000,
        help="maximum vocabulary size, including the five special tokens",
        minimum=MIN_VOCABULARY,
        maximum=MAX_VOCABULARY,
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
class PrepareCorpusOptions(SelectionOptions):
    """Options of `prepare_corpus`."""

    program = Program(
        TEXT,
        "Tokenizes text once, into shards for pretraining.",
        (
            "--input 'text/*.txt' --vocab runs/mine/vocab.txt\n--output runs/mine/corpus",
            "--input 'text/*.txt' --vocab runs/mine/vocab.txt\n--output runs/mine/parts/3 "
            "--part 3/7",
        ),
    )

    vocab: str | None = option(None, help="WordPiece vocabulary file", reads=check_file)
    tokenizer: str | None = option(
        None,
        help="instead of --vocab: a model, as in kerasbert convert, whose tokenizer to use",
        reads=check_model,
    )
    output: str = option(help="corpus directory to write; must not exist")
    lowercase: bool = option(
        True, help="whether --vocab is lower-cased; must be as in kerasbert build_vocab"
    )
    tokens_per_shard: int = option(
        TOKENS_PER_SHARD, help="maximum number of tokens per shard", minimum=1
    )
    bytes_per_unit: int = option(
        BYTES_PER_UNIT,
        help="maximum bytes of text whose documents share a shard; larger files are divided",
        minimum=1,
    )
    part: str | None = option(
        None, help="prepare only this part, such as 3/7; kerasbert join_corpus joins all"
    )
    dedup: list[str] = option(
        [],
        help="leave out repeated text: document, near (by MinHash), paragraph; reads the text "
        "twice; may be repeated",
    )
    duplicates: str | None = option(
        None,
        help="instead of --dedup, and for parts: a file of kerasbert find_duplicates",
        reads=check_file,
    )
    word_segmenter: str = option(
        "none",
        help="how to find words of several tokens in text without spaces, for pretrain "
        "--mask_unit: jieba, or module:function from a list of texts to a list of words of each",
    )
    phrases: str | None = option(
        None, help="file with a phrase or name on each line, which is masked as one word"
    )
    threads: int | None = option(
        None,
        help="number of threads; default: the cores that the program may use",
        minimum=1,
        maximum=1024,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_kinds(self.dedup)
        if self.part is not None:
            Part.parse(self.part)
        if self.dedup and (self.part or self.duplicates):
            raise InputError(
                "--dedup looks at all text: with --part, give all parts --duplicates, a file of "
                "kerasbert find_duplicates"
                if self.part
                else "--dedup and --duplicates must not both be given"
            )
        if (self.vocab is None) == (self.tokenizer is None):
            raise InputError("either --vocab or --tokenizer must be given; --help lists the flags")
        if self.tokenizer and not self.lowercase:
            raise InputError("--nolowercase is for --vocab; a --tokenizer has a setting of its own")
        check_name(self.word_segmenter)
        if self.phrases and not os.path.isfile(self.phrases):
            raise InputError(f"--phrases={self.phrases}: no such file")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareCorpusBeamOptions(PrepareCorpusOptions):
    """Options of `prepare_corpus_beam`."""

    program = Program(
        TEXT,
        "Prepares the parts of a corpus with Apache Beam, and joins them.",
        (
            "--input 'text/*.txt' --vocab runs/mine/vocab.txt\n--output runs/mine/corpus "
            "--parts 8 --threads 1\n--runner=DirectRunner --direct_num_workers=2 "
            "--direct_running_mode=multi_processing",
        ),
    )
    passes_on = "beam"

    parts: int = option(
        16, help="number of parts, each of which one worker makes", minimum=1, maximum=1_000_000
    )
    beam: list[str] = option(
        [], help="a flag of Beam; flags that are not in this list are passed on to it, too"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part is not None:
            raise InputError("--part is set for each worker; --parts is the number of parts")
        if self.dedup:
            raise InputError(
                "--dedup looks at all text; give --duplicates, a file of kerasbert find_duplicates"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class JoinCorpusOptions(Options):
    """Options of `join_corpus`."""

    program = Program(
        TEXT,
        "Joins the parts of a corpus, without copying them.",
        ("--parts 'runs/mine/parts/*' --output runs/mine/corpus",),
    )

    parts: list[str] = option(
        help="directories that kerasbert prepare_corpus --part wrote, or a glob; may be repeated"
    )
    output: str = option(help="corpus directory to write; must not exist")
    verify: bool = option(True, help="compare the SHA-256 of every file of the parts")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorpusInfoOptions(Options):
    """Options of `corpus_info`."""

    program = Program(
        TEXT,
        "Describes a corpus: counts, lengths as a histogram, and samples of its text.",
        ("--corpus runs/mine/corpus --picture runs/mine/corpus.png",),
    )

    corpus: str = option(help="corpus directory, or that of a part", reads=check_directory)
    picture: str | None = option(
        None, help="PNG file to write, with the histograms; must end in .png, and must not exist"
    )
    samples: int = option(3, help="number of documents to show", minimum=0, maximum=1000)
    sample_tokens: int = option(
        60, help="maximum tokens of each that are shown", minimum=1, maximum=100_000
    )
    seed: int = option(0, help="decides which documents", minimum=0, maximum=LARGEST_SEED)
    verify: bool = option(False, help="compare the SHA-256 of every file, which reads all of them")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.picture is not None and not self.picture.lower().endswith(".png"):
            raise InputError(f"--picture must end in .png, found {self.picture}")
