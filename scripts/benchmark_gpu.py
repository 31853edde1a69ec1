"""Compares pretraining steps with other libraries on a GPU, most telling first."""

from kerasbert import program

if __name__ == "__main__":
    program.run("benchmark_gpu", "benchmarks")
