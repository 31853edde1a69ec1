"""Answers every example of a file with a model."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("predict")
