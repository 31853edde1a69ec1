"""Measures a model, or predictions, on examples, or a model on a corpus.

Example:
  python scripts/evaluate.py --model runs/mine/finetune/model --data dev.tsv
"""

from kerasbert import cli
from kerasbert.recipes.options import EvaluateOptions

if __name__ == "__main__":
    cli.run("evaluate", EvaluateOptions)
