"""Compares pretraining steps with other libraries on a GPU, most telling first, in few minutes.

Example:
  python scripts/benchmark_gpu.py --minutes 10 --output runs/gpu
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("benchmark_gpu", "benchmarks")
