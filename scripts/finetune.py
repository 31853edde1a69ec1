"""Fine-tunes a pretrained model on examples of a task.

Example:
  python scripts/finetune.py --init runs/mine/pretrain/model --train train.tsv \\
    --validation dev.tsv --epochs 3 --output runs/mine/finetune
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("finetune")
