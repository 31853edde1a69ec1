"""Converts a model between the formats of Google, Hugging Face, KerasHub and kerasbert.

Example:
  python scripts/convert.py --input runs/mine/pretrain/model --output runs/mine/hf --format hf
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("convert")
