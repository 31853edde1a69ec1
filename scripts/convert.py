"""Converts a model between the formats of Google, Hugging Face, KerasHub and kerasbert."""

from kerasbert import program

if __name__ == "__main__":
    program.run("convert")
