"""Compares the tokenizer with Hugging Face tokenizers: ids and speed, in one run."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("benchmark_tokenizer")
