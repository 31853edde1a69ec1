"""Exports a model as a SavedModel that takes raw strings."""

from kerasbert import program

if __name__ == "__main__":
    program.run("export")
