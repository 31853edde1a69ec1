"""Trains a small model to imitate a large one.

Example:
  python scripts/distill.py --teacher runs/mine/finetune/model --student_layers 1 \\
    --train train.tsv --validation dev.tsv --output runs/mine/small
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("distill")
