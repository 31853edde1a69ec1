"""Evaluates a model or predictions on examples, or a model on a corpus.

Example:
  python scripts/evaluate.py --model runs/mine/finetune/model --data dev.tsv
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("evaluate")
