"""Measures a model on labelled texts or on a corpus."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("evaluate")
