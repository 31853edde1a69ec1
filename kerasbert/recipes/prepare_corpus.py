"""Text + vocabulary -> corpus."""

from kerasbert import zoo
from kerasbert.data import prepare
from kerasbert.recipes.options import PrepareCorpusOptions
from kerasbert.text import WordPieceTokenizer
from kerasbert.training.progress import Bar


def prepare_corpus(options: PrepareCorpusOptions) -> dict:
    """Tokenizes text once into shards; returns what was counted."""
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
