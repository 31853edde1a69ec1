"""Pretrains from raw text for some minutes, fine-tunes, and prints scores by contender."""

from kerasbert import program

if __name__ == "__main__":
    program.run("quality_for_time", "benchmarks")
