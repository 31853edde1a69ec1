"""Pretrains a model from scratch with MLM + NSP."""

from kerasbert import cli
from kerasbert.recipes.pretrain import PretrainOptions, pretrain

if __name__ == "__main__":
    cli.run(PretrainOptions, pretrain)
