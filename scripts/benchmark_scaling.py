"""Measures how training speeds up from one worker process to several, a core each."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("benchmark_scaling")
