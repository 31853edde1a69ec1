"""Writes a model's prediction for every example of a file."""

from kerasbert import program

if __name__ == "__main__":
    program.run("predict")
