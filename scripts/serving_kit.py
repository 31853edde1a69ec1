"""Writes a folder that runs a model under TensorFlow Serving, with warm-up and README."""

from kerasbert import program

if __name__ == "__main__":
    program.run("serving_kit")
