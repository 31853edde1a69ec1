"""Prepares the parts of a corpus with Apache Beam, and joins them."""

from kerasbert import program

if __name__ == "__main__":
    program.run("prepare_corpus_beam")
