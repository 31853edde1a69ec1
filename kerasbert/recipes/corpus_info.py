"""Describing a corpus."""

import os
from collections.abc import Mapping
from typing import Any

from kerasbert import files, lazy
from kerasbert.data.corpus import statistics
from kerasbert.data.corpus.reader import Corpus
from kerasbert.recipes.options import CorpusInfoOptions
from kerasbert.training.progress import log

_LONGEST = 512  # tokens; the longest rows of most models


def corpus_info(options: CorpusInfoOptions) -> dict[str, Any]:
    """Returns counts, lengths and samples of a corpus; shows histograms."""
    if options.picture:
        files.refuse_existing(options.picture)  # before the corpus is read
    corpus = Corpus(options.corpus, verify=options.verify)
    measured = {
        "documents": statistics.document_lengths(corpus),
        "sentences": statistics.sentence_lengths(corpus),
    }
    for title, lengths in measured.items():
        for line in lengths.text(title):
            log(line)
    if options.picture:
        _draw(corpus, measured, options.picture)
    manifest = corpus.manifest
    shown = ("tokens", "sentences", "documents", "part", "filters", "duplicates", "left_out")
    return {
        "corpus": options.corpus,
        **{name: manifest[name] for name in shown if name in manifest},
        "shards": len(manifest["shards"]),
        "vocabulary_size": corpus.tokenizer.vocabulary_size,
        **statistics.token_shares(corpus),
        "tokens_per_document": measured["documents"].summary(),
        "tokens_per_sentence": measured["sentences"].summary(),
        "samples": statistics.samples(corpus, options.samples, options.sample_tokens, options.seed),
        **({"picture": options.picture} if options.picture else {}),
    }


def _short(number: int) -> str:
    return f"{number // 1024}k" if number >= 1024 else str(number)


def _draw(
    corpus: Corpus, measured: Mapping[str, statistics.Lengths], path: str | os.PathLike
) -> None:
    """Draws the histograms as a PNG file."""
    figure = lazy.extra("matplotlib.figure", "'kerasbert[plots]'").Figure(
        figsize=(8, 5.5), layout="constrained"
    )
    of = corpus.manifest
    counts = ", ".join(f"{of[name]:,} {name}" for name in ("documents", "sentences", "tokens"))
    heading = f"{corpus.directory.name}: {counts}"
    figure.suptitle(heading, fontsize="medium", parse_math=False)  # a name may have two `$`
    axes = figure.subplots(2, 1)
    for axis, (title, lengths) in zip(axes, measured.items(), strict=True):
        firsts, items, tokens = lengths.bins()
        places = range(len(firsts))
        width = 0.4
        axis.bar([x - width / 2 for x in places], items, width, label=f"share of {title}")
        axis.bar([x + width / 2 for x in places], tokens, width, label="share of tokens")
        axis.set_xticks(places, map(_short, firsts))
        axis.set_xlabel(f"tokens in a {title[:-1]}, from each number to below the next")
        axis.yaxis.set_major_formatter("{x:.0%}")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
        if title == "documents" and _LONGEST in firsts:
            place = firsts.tolist().index(_LONGEST) - 0.5
            axis.axvline(place, color="0.5", linewidth=0.8, linestyle=":")
            axis.text(place, axis.get_ylim()[1], f" {_LONGEST} tokens", va="top", color="0.4")
    with files.new_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
