"""Compares training, fine-tuning, tokenizing and inference with other libraries.

Example:
  python scripts/benchmark.py --suite pretrain --peers kerashub,transformers --layers 4 --hidden 512
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("benchmark", "benchmarks")
