"""Kills a training run again and again; compares its end with that of one left alone.

Example:
  python scripts/kill_harness.py --output runs/killed --kills 20 --command \\
    'scripts/pretrain.py --corpus runs/mine/corpus --steps 200 --checkpoint_every_steps 5'
"""

from kerasbert import program

if __name__ == "__main__":
    program.run("kill_harness")
