"""Runs the whole workflow on text from this machine: vocabulary to predictions in minutes.

Example:
  python scripts/quickstart.py --output runs/quickstart
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("quickstart")
