"""Compares `kerasbert serve` under load with the bare SavedModel, called by threads."""

from kerasbert import program

if __name__ == "__main__":
    program.run("benchmark_server", "benchmarks")
