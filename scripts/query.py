"""Runs an exported SavedModel in this process, without model code.

Example:
  python scripts/query.py --saved_model saved_models/mine --text 'a fine day' --text 'a bad idea'
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("query")
