"""Fine-tunes a pretrained model to classify texts or pairs of texts."""

from kerasbert import cli
from kerasbert.recipes.finetune import FinetuneOptions, finetune

if __name__ == "__main__":
    cli.run(FinetuneOptions, finetune)
