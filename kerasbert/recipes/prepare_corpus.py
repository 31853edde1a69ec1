"""Text + vocabulary -> corpus."""

import dataclasses

from kerasbert import zoo
from kerasbert.data import prepare
from kerasbert.errors import InputError
from kerasbert.options import option
from kerasbert.text import WordPieceTokenizer
from kerasbert.training.progress import Bar


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareCorpusOptions:
    """Options of `prepare_corpus`."""

    input: list[str] = option(help="text, as in build_vocab.py; may be repeated")
    vocab: str | None = option(None, help="a WordPiece vocabulary file")
    tokenizer: str | None = option(
        None, help="instead: a model, as in convert.py, whose tokenizer to use"
    )
    output: str = option(help="the corpus directory to write; must not exist")
    lowercase: bool = option(True, help="whether --vocab is of lower-cased text")
    tokens_per_shard: int = option(1 << 24, help="about how many tokens a shard has")


def prepare_corpus(options: PrepareCorpusOptions) -> dict:
    """Tokenizes text once into shards; returns what was counted."""
    if (options.vocab is None) == (options.tokenizer is None):
        raise InputError("either --vocab or --tokenizer must be given; --help lists the flags")
    if options.vocab:
        tokenizer = WordPieceTokenizer(options.vocab, lowercase=options.lowercase)
    else:
        tokenizer = zoo.tokenizer_from_preset(options.tokenizer)
    with Bar("tokenize", None, "sentences") as bar:
        manifest = prepare.prepare_corpus(
            options.input,
            tokenizer,
            options.output,
            tokens_per_shard=options.tokens_per_shard,
            progress=bar.update,
        )
    shown = ("tokens", "sentences", "documents", "empty_documents", "invalid_utf8_lines")
    return {
        "corpus": options.output,
        **{name: manifest[name] for name in shown},
        "shards": len(manifest["shards"]),
    }
