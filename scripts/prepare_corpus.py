"""Tokenizes text once, into shards for pretrain.py.

Example:
  python scripts/prepare_corpus.py --input 'text/*.txt' --vocab runs/mine/vocab.txt \\
    --output runs/mine/corpus
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("prepare_corpus")
