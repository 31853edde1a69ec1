"""Runs a program as where TensorFlow is not installed: `without_tensorflow.py PROGRAM FLAGS...`."""

import os
import runpy
import sys

for name in ("tensorflow", "tensorflow_text"):
    sys.modules[name] = None  # neither found nor imported

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
