"""Runs the whole workflow on text from this machine: vocabulary to predictions in minutes."""

from kerasbert import program

if __name__ == "__main__":
    program.run("quickstart")
