"""Tokenizes text once into shards that pretrain.py draws from."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("prepare_corpus")
