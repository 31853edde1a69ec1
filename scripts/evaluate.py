"""Measures a model on labelled texts or on a corpus."""

from kerasbert import cli
from kerasbert.recipes.evaluate import EvaluateOptions, evaluate

if __name__ == "__main__":
    cli.run(EvaluateOptions, evaluate)
