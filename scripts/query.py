"""Asks an exported SavedModel, in this process, without model code."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("query")
