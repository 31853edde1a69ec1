"""Measures how training speeds up from one worker process to several, a core each.

Example:
  python scripts/benchmark_scaling.py --preset bert_small --workers 2
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("benchmark_scaling", "benchmarks")
