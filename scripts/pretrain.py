"""Pretrains a model from scratch with MLM + NSP.

Example:
  python scripts/pretrain.py --corpus runs/mine/corpus --preset bert_tiny --steps 10000 \\
    --learning_rate 1e-3 --output runs/mine/pretrain
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("pretrain")
