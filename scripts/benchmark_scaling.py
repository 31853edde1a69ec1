"""Measures how training scales from one worker process to several, each on its own core.

Example:
  python scripts/benchmark_scaling.py --preset bert_small --workers 2
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("benchmark_scaling", "benchmarks")
