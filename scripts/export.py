"""Exports a model as a SavedModel that takes raw strings, or for another runtime."""

from kerasbert import program

if __name__ == "__main__":
    program.run("export")
