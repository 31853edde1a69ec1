"""Converts a model between the formats of Google, Hugging Face, KerasHub and kerasbert.

Example:
  python scripts/convert.py --input runs/mine/pretrain/model --output runs/mine/hf --format hf
"""

from kerasbert import cli
from kerasbert.recipes.options import ConvertOptions

if __name__ == "__main__":
    cli.run("convert", ConvertOptions)
