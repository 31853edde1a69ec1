"""Exports a model as a SavedModel that takes raw strings."""

from kerasbert import cli
from kerasbert.recipes.export import ExportOptions, export

if __name__ == "__main__":
    cli.run(ExportOptions, export)
