"""Pretrains a model from scratch with MLM + NSP."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("pretrain")
