"""Trains a WordPiece vocabulary on text."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("build_vocab")
