"""Describes a corpus: counts, lengths as a histogram, and samples of its text."""

from kerasbert import program

if __name__ == "__main__":
    program.run("corpus_info")
