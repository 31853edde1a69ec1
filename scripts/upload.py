"""Uploads a model directory to Hugging Face's hub, with its model card."""

from kerasbert import program

if __name__ == "__main__":
    program.run("upload")
