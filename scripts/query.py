"""Asks an exported SavedModel, in this process without model code, or a server."""

from kerasbert import program

if __name__ == "__main__":
    program.run("query")
