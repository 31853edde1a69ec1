"""Tokenizes text once into shards that pretrain.py draws from."""

from kerasbert import cli
from kerasbert.recipes.prepare_corpus import PrepareCorpusOptions, prepare_corpus

if __name__ == "__main__":
    cli.run(PrepareCorpusOptions, prepare_corpus)
