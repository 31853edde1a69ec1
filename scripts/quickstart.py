"""Does the whole job on text that is already here: vocabulary to answers in minutes.

Example:
  python scripts/quickstart.py --output runs/quickstart
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("quickstart")
