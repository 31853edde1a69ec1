"""Kills a program repeatedly, and compares its output with that of an uninterrupted run."""

from kerasbert import program

if __name__ == "__main__":
    program.run("kill_harness", "benchmarks")
