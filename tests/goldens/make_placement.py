"""Writes placement.json: on which device each operation of our graphs runs; see tests/placement.py.

Needs a TensorFlow that is built with CUDA, as the wheel for Linux is, but no GPU:

    python tests/goldens/make_placement.py
"""

import json
import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.append(str(pathlib.Path(__file__).parents[1]))

import placement
import tensorflow as tf


def main() -> None:
    if not tf.test.is_built_with_cuda():
        sys.exit("this TensorFlow has no kernels for GPUs")
    registry = placement.Registry()
    surveys = {
        name: placement.survey(make(), registry.host_arguments)
        for name, make in placement.GRAPHS.items()
    }
    kernels = {use: k for found in surveys.values() for use, k in found.pop("kernels").items()}
    golden = {"tensorflow": tf.__version__, "graphs": surveys, "kernels": kernels}
    text = json.dumps(golden, indent=1, sort_keys=True)
    placement.GOLDEN.write_text(text + "\n")


if __name__ == "__main__":
    main()
