"""Fine-tunes a pretrained model to classify texts or pairs of texts."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("finetune")
