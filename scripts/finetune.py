"""Fine-tunes a pretrained model on examples of a task."""

from kerasbert import program

if __name__ == "__main__":
    program.run("finetune")
