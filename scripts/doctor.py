"""Describes this installation: versions, devices, which precision pays, what is missing."""

from kerasbert import program

if __name__ == "__main__":
    program.run("doctor")
