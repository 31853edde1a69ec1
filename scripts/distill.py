"""Trains a small model to imitate a large one."""

from kerasbert import program

if __name__ == "__main__":
    program.run("distill")
