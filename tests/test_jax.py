"""Layers, backbone, heads and steps on JAX: equal to TensorFlow's, without importing it."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import programs
import pytest

PROGRAM = pathlib.Path(__file__).with_name("backends_program.py")
# JAX compiles hundreds of operations, each for a single use.
QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Returns the program's results on each backend."""
    pytest.importorskip("jax")
    directory = tmp_path_factory.mktemp("backends")
    files = {backend: directory / f"{backend}.npz" for backend in ("tensorflow", "jax")}
    variables = {**os.environ, "XLA_FLAGS": QUICKLY}
    command = [sys.executable, PROGRAM, files["jax"]]  # a copied process has TensorFlow
    with subprocess.Popen(
        command, env={**variables, "KERAS_BACKEND": "jax"}, stderr=subprocess.PIPE, text=True
    ) as on_jax:
        on_tensorflow = programs.run(
            [PROGRAM, files["tensorflow"]],
            env={**variables, "KERAS_BACKEND": "tensorflow"},
            timeout=300,
        )
        _, said = on_jax.communicate(timeout=300)
    assert on_tensorflow.returncode == 0, on_tensorflow.stderr
    assert on_jax.returncode == 0, said
    return {name: dict(np.load(path)) for name, path in files.items()}


def test_tensorflow_is_not_imported(found):
    assert found["tensorflow"]["tensorflow"]
    assert not found["jax"]["tensorflow"]


@pytest.mark.parametrize(
    ("part", "count", "atol"), [("output", 9, 1e-5), ("loss", 7, 1e-5), ("gradient", 120, 1e-5)]
)
def test_same_as_on_tensorflow(found, part, count, atol):
    ours, theirs = (
        {name: value for name, value in one.items() if name.split("/")[1:2] == [part]}
        for one in (found["jax"], found["tensorflow"])
    )
    assert ours.keys() == theirs.keys()
    assert len(ours) >= count
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], atol=atol, err_msg=name)
    if part == "gradient":
        assert sum(np.abs(value).max() > 1e-3 for value in ours.values()) > count / 2


def test_same_training(found):
    # The gradient of the key's bias is rounding noise.
    after = {n: v for n, v in found["jax"].items() if "/adamw/" in n and "key/bias" not in n}
    assert {name.split("/")[0] for name in after} == {"pretrainer", "tagger"}
    for name, value in after.items():
        np.testing.assert_allclose(value, found["tensorflow"][name], atol=2e-5, err_msg=name)
