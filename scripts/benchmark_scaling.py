"""Measures how training speeds up from one worker process to several, a core each.

Example:
  python scripts/benchmark_scaling.py --preset bert_small --workers 2
"""

from kerasbert import cli
from kerasbert.recipes.options import BenchmarkScalingOptions

if __name__ == "__main__":
    cli.run("benchmark_scaling", BenchmarkScalingOptions)
