"""Tokenizes text once, into shards for pretraining."""

from kerasbert import program

if __name__ == "__main__":
    program.run("prepare_corpus")
