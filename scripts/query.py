"""Asks an exported SavedModel, in this process, without model code."""

from kerasbert import cli
from kerasbert.recipes.query import QueryOptions, query

if __name__ == "__main__":
    cli.run(QueryOptions, query)
