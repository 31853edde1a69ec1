"""Compares training, fine-tuning, tokenizing and inference with other libraries."""

from kerasbert import program

if __name__ == "__main__":
    program.run("benchmark", "benchmarks")
