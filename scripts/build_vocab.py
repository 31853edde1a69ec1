"""Trains a WordPiece vocabulary on text."""

from kerasbert import cli
from kerasbert.recipes.build_vocab import BuildVocabOptions, build_vocab

if __name__ == "__main__":
    cli.run(BuildVocabOptions, build_vocab)
