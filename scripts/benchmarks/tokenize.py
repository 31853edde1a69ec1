"""Tokenizing with kerasbert and Hugging Face's tokenizers, and preparing a corpus; ids compared."""

import itertools
import os
import pathlib
import shutil
import zlib

from benchmarks.timing import Candidate
from benchmarks.workload import Workload
from kerasbert.data.corpus.documents.reading import find_files, read_documents
from kerasbert.errors import InputError

_BATCH = 512


def suite(options, directory: pathlib.Path) -> list[Workload]:
    """Returns workloads: all lines without special tokens, and preparing a corpus."""
    if not options.vocab or not options.input:
        raise InputError("--suite=tokenize needs --vocab and --input")
    arguments = (options.vocab, options.lowercase, options.input)
    tokenizer = _reference(options.vocab, options.lowercase)
    codes = tokenizer.encode_batch(_lines(options.input), add_special_tokens=False)
    tokens = sum(len(code.ids) for code in codes)
    megabytes = sum(map(os.path.getsize, find_files(options.input))) / 1e6
    return [
        Workload(
            title=f"tokenize {', '.join(options.input)} by {options.vocab}",
            candidates=[
                Candidate("kerasbert", "", kerasbert, arguments),
                # With offsets, and without.
                Candidate("tokenizers.encode_batch", "", tokenizers, (*arguments, "encode_batch")),
                Candidate(
                    "tokenizers.encode_batch_fast",
                    "",
                    tokenizers,
                    (*arguments, "encode_batch_fast"),
                ),
            ],
            compare=_difference,
            tokens=tokens,
        ),
        Workload(
            title=f"{megabytes:.0f} MB to a corpus, and tokenizing alone",
            candidates=[
                Candidate("kerasbert prepare_corpus", "", prepare, (str(directory), *arguments)),
                Candidate("kerasbert tokenizer", "", kerasbert, arguments),
            ],
            tokens=tokens,
        ),
    ]


def _lines(paths: list[str]) -> list[str]:
    return list(itertools.chain.from_iterable(read_documents(paths)))


def _difference(ours: list[int], theirs: list[int]) -> str:
    differing = sum(a != b for a, b in zip(ours, theirs, strict=True))
    return f"{differing} of {len(ours)} lines differ"


def _digests(lines) -> list[int]:
    return [zlib.crc32(" ".join(map(str, ids)).encode()) for ids in lines]


# === Candidates ===


def kerasbert(vocab: str, lowercase: bool, paths: list[str]):
    """Runs `WordPieceTokenizer` in a `tf.data` pipeline."""
    import tensorflow as tf

    from kerasbert.data.text_batches import convert
    from kerasbert.text import WordPieceTokenizer

    tokenizer = WordPieceTokenizer(vocab, lowercase=lowercase)
    lines = tf.data.Dataset.from_tensor_slices(_lines(paths)).batch(_BATCH).cache()
    batches = convert(lines, tokenizer.tokenize)

    def run():
        for _ in batches:
            pass

    return run, _digests(ids for batch in batches for ids in batch.to_list())


def prepare(directory: str, vocab: str, lowercase: bool, paths: list[str]):
    """Runs `prepare_corpus`: reads files, tokenizes, writes shards."""
    from kerasbert.data.corpus.prepare import prepare_corpus
    from kerasbert.text import WordPieceTokenizer

    tokenizer = WordPieceTokenizer(vocab, lowercase=lowercase)
    path = pathlib.Path(directory) / "corpus"

    def run():
        shutil.rmtree(path, ignore_errors=True)
        prepare_corpus(paths, tokenizer, path)

    return run, None


def tokenizers(vocab: str, lowercase: bool, paths: list[str], method: str):
    """Runs Hugging Face's tokenizers, in Rust, on all cores."""
    lines = _lines(paths)
    encode = getattr(_reference(vocab, lowercase), method)

    def run():
        return encode(lines, add_special_tokens=False)

    return run, _digests(code.ids for code in run())


def _reference(vocab: str, lowercase: bool):
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    tokenizer = BertWordPieceTokenizer(vocab, lowercase=lowercase, strip_accents=lowercase)
    return Tokenizer.from_str(tokenizer.to_str())  # the only class with `encode_batch_fast`
