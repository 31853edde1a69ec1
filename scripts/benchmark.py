"""Measures training, fine-tuning, tokenizing and answering beside other people's programs."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("benchmark")
