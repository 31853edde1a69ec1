"""Does the whole job on text that is already here: vocabulary to answers in minutes."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("quickstart")
