"""Fine-tunes every task of the README's table from one encoder, and prints the table."""

from kerasbert import cli

if __name__ == "__main__":
    cli.run("task_results")
