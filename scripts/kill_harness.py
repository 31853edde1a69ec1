"""Kills a program repeatedly, and compares its output with that of an uninterrupted run.

Example:
  python scripts/kill_harness.py --output runs/killed --kills 20 --command \\
    'scripts/pretrain.py --corpus runs/mine/corpus --steps 200 --checkpoint_every_steps 5'
  python scripts/kill_harness.py --output runs/killed_answers --name answers.jsonl --command \\
    'scripts/predict.py --model runs/mine/finetune/model --input dev.tsv'
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("kill_harness", "benchmarks")
