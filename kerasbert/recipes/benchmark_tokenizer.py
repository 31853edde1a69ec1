"""The tokenizer beside Hugging Face `tokenizers`: the same ids? How many a second?"""

import dataclasses
import itertools
import statistics
import time

import tensorflow as tf

from kerasbert.data.documents import read_documents
from kerasbert.options import option
from kerasbert.text import WordPieceTokenizer

_BATCH = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkTokenizerOptions:
    """Options of `benchmark_tokenizer`."""

    input: list[str] = option(help="text, as in build_vocab.py; may be repeated")
    vocab: str = option(help="the vocabulary file")
    lowercase: bool = option(True, help="whether the vocabulary is of lower-cased text")
    rounds: int = option(5, help="times that each side goes through the text, in turn")


def benchmark_tokenizer(options: BenchmarkTokenizerOptions) -> dict:
    """Compares ids line by line and speeds in one run, both sides on all cores."""
    from tokenizers import BertWordPieceTokenizer

    lines = list(itertools.chain.from_iterable(read_documents(options.input)))
    tokenizer = WordPieceTokenizer(options.vocab, lowercase=options.lowercase)
    reference = BertWordPieceTokenizer(
        options.vocab, lowercase=options.lowercase, strip_accents=options.lowercase
    )
    batches = tf.data.Dataset.from_tensor_slices(lines).batch(_BATCH).cache()
    ours = batches.map(tokenizer.tokenize, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)

    expected = [code.ids for code in reference.encode_batch(lines, add_special_tokens=False)]
    found = [ids for batch in ours for ids in batch.to_list()]
    tokens = sum(map(len, expected))

    seconds = {"kerasbert": [], "tokenizers": []}
    for _ in range(options.rounds):
        start = time.perf_counter()
        for _ in ours:
            pass
        seconds["kerasbert"].append(time.perf_counter() - start)
        start = time.perf_counter()
        reference.encode_batch(lines, add_special_tokens=False)
        seconds["tokenizers"].append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    rates = {name: round(tokens / statistics.median(taken)) for name, taken in seconds.items()}
    return {
        "lines": len(lines),
        "tokens": tokens,
        "differing_lines": sum(a != b for a, b in zip(found, expected, strict=True)),
        "tokens_per_second": rates,
        "ratio": {
            "median": round(statistics.median(ratios), 2),
            "min": round(min(ratios), 2),
            "max": round(max(ratios), 2),
        },
    }
