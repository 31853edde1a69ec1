"""Trains a small model to answer as a big one does."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("distil")
