"""Kills a training run again and again; compares its end with that of one left alone."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("kill_harness")
