"""Finds repeated documents and paragraphs, for kerasbert prepare_corpus --duplicates."""

from kerasbert import program

if __name__ == "__main__":
    program.run("find_duplicates")
