"""Converts a model between the formats of Google, Hugging Face, KerasHub and kerasbert."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("convert")
