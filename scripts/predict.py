"""Writes a model's prediction for every example of a file.

Example:
  python scripts/predict.py --model runs/mine/finetune/model --input dev.tsv \\
    --output runs/mine/answers.jsonl
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("predict")
