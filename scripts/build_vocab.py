"""Trains a WordPiece vocabulary on text.

Example:
  python scripts/build_vocab.py --input 'text/*.txt' --vocab_size 8000 --output runs/mine/vocab.txt
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("build_vocab")
