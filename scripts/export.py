"""Exports a model as a SavedModel that takes raw strings.

Example:
  python scripts/export.py --model runs/mine/finetune/model --output saved_models/mine/1
"""

from kerasbert import cli
from kerasbert.recipes.options import ExportOptions

if __name__ == "__main__":
    cli.run("export", ExportOptions)
