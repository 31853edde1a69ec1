"""Measures a model, or predictions, on examples, or a model on a corpus."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("evaluate")
