"""Exports a model as a SavedModel that takes raw strings.

Example:
  python scripts/export.py --model runs/mine/finetune/model --output saved_models/mine/1
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("export")
