"""Trains a WordPiece vocabulary on text."""

from kerasbert import program

if __name__ == "__main__":
    program.run("build_vocab")
