"""Evaluates a model or predictions on examples, or a model on a corpus."""

from kerasbert import program

if __name__ == "__main__":
    program.run("evaluate")
