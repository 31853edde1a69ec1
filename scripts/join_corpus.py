"""Joins the parts of a corpus, without copying them."""

from kerasbert import program

if __name__ == "__main__":
    program.run("join_corpus")
