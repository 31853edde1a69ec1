"""Measures how training scales from one process to several, each on its own core."""

from kerasbert import program

if __name__ == "__main__":
    program.run("benchmark_scaling", "benchmarks")
