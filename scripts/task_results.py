"""Fine-tunes all tasks of the README's table from one encoder, and prints the table.

Example:
  python scripts/task_results.py --data data --init runs/mine/pretrain/model \\
    --output runs/results --precision bfloat16
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("task_results", "benchmarks")
