"""Exports a model as a SavedModel that takes raw strings."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("export")
