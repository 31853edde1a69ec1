"""Trains a pretrained model on examples of a task."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("finetune")
