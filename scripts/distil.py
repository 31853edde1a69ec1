"""The old name of `distill.py`, which works for one more version with a warning."""

from kerasbert import program, renamed

if __name__ == "__main__":
    renamed.warn("distil.py", "distill.py")
    program.run("distill")
