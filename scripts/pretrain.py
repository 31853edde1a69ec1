"""Pretrains a model from scratch with MLM + NSP."""

from kerasbert import program

if __name__ == "__main__":
    program.run("pretrain")
