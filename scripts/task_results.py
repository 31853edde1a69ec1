"""Fine-tunes all tasks of the README's table from one encoder, and prints the table."""

from kerasbert import program

if __name__ == "__main__":
    program.run("task_results", "benchmarks")
