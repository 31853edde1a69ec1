"""Trains a WordPiece vocabulary on text.

Example:
  python scripts/build_vocab.py --input 'text/*.txt' --vocab_size 8000 --output runs/mine/vocab.txt
"""

from kerasbert import cli
from kerasbert.recipes.options import BuildVocabOptions

if __name__ == "__main__":
    cli.run("build_vocab", BuildVocabOptions)
