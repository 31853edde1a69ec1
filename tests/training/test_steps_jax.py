"""Training on JAX: what it gives on TensorFlow, on any number of devices, and resumed."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import programs
import pytest

PROGRAM = pathlib.Path(__file__).with_name("steps_program.py")
# Eight devices of one CPU, and compiled in a hurry: each function runs a few times.
FLAGS = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true"
)
# The gradient of a key's bias is rounding: attention is the same whatever it is.
ROUNDING = "attention/key/bias"


def start_on_jax(mode: str, path: pathlib.Path) -> subprocess.Popen:
    pytest.importorskip("jax")
    variables = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": FLAGS}
    command = [sys.executable, PROGRAM, mode, path]  # a copy would have chosen its backend
    return subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen, path: pathlib.Path) -> dict:
    with process:
        _, said = process.communicate(timeout=500)
    assert process.returncode == 0, said
    return dict(np.load(path))


def on_jax(mode: str, path: pathlib.Path) -> dict:
    return end(start_on_jax(mode, path), path)


def on_both(directory: pathlib.Path, mode: str, tensorflow_mode: str) -> tuple[dict, dict]:
    """What is found on JAX, and at the same time on TensorFlow."""
    paths = [directory / f"{name}.npz" for name in ("first", "tensorflow")]
    process = start_on_jax(mode, paths[0])
    try:
        variables = {**os.environ, "KERAS_BACKEND": "tensorflow"}
        ended = programs.run([PROGRAM, tensorflow_mode, paths[1]], env=variables, timeout=500)
        assert ended.returncode == 0, ended.stderr
    except BaseException:
        process.kill()
        raise
    return end(process, paths[0]), dict(np.load(paths[1]))


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Where JAX's results are, those, and TensorFlow's."""
    directory = tmp_path_factory.mktemp("steps")
    return directory, *on_both(directory, "quick", "all")


def part(results: dict, prefix: str) -> dict:
    """What is under a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in results.items()
        if name.startswith(prefix) and ROUNDING not in name
    }


def check_equal(results: dict, expected: dict, atol: float) -> None:
    assert results.keys() == expected.keys()
    for name, value in results.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=atol, err_msg=name)


# === As on TensorFlow ===


def check_training(results: dict, expected: dict) -> None:
    for name in {"/".join(name.split("/")[:2]) for name in expected}:
        ours, theirs = (part(each, f"{name}/") for each in (results, expected))
        assert ours["skipped"] == 1
        assert ours["loss"][2] < ours["loss"][0]
        for each in (ours, theirs):
            # Keras weighs the batches of these means by their rows on JAX alone.
            for means in [name for name in each if name.endswith("_loss")]:
                del each[means]
        check_equal(ours, theirs, atol=1e-5)


def test_same_as_on_tensorflow(quick):
    """Everything at once: microbatches, checkpointing, layers' rates, averages, a skipped step."""
    _, results, expected = quick
    assert any("/average/" in name for name in expected)
    assert expected["pretraining/all/examples"].tolist() == [8, 16, 24]
    check_training(results, expected)


@pytest.mark.full
def test_every_option_is_as_on_tensorflow(tmp_path):
    results, expected = on_both(tmp_path, "options", "options")
    precision = {name for name in expected if name.startswith("precision/")}
    check_training(results, {n: v for n, v in expected.items() if n not in precision})
    plain = part(results, "pretraining/plain/weight/")
    for option in ("layer_decay", "clip_norm", "lamb"):
        other = part(results, f"pretraining/{option}/weight/")
        assert max(np.abs(other[name] - plain[name]).max() for name in plain) > 1e-3
    default = part(results, "pretraining/default/weight/")
    for option in ("accumulation_steps", "gradient_checkpointing"):
        check_equal(part(results, f"pretraining/{option}/weight/"), default, atol=1e-5)
    # Half precision rounds in other places.
    exact = part(results, "precision/float32/")
    for dtype in ("mixed_bfloat16", "mixed_float16"):
        ours, theirs = (part(each, f"precision/{dtype}/") for each in (results, expected))
        assert ours["skipped"] == theirs["skipped"] == 1
        np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=0.02)
        assert (ours["loss"] != exact["loss"]).any()


# === Devices ===


def check_devices(results: dict, kinds: dict) -> None:
    one = part(results, "1/")
    assert one.pop("parts") == 1
    assert sum(name.startswith("gradient/") for name in one) > 25
    for name, parts in kinds.items():
        many = part(results, f"{name}/")
        assert many.pop("parts") == parts
        check_equal(many, one, 1e-5)


def test_devices_are_one_device(quick):
    """Two copies of a model on two devices each."""
    check_devices(quick[1], {"4x2": 2})


@pytest.mark.full
def test_any_number_of_devices_is_one_device(tmp_path):
    """With dropout too."""
    kinds = {"2x1": 1, "4x1": 1, "8x1": 1, "2x2": 2, "4x2": 2, "8x2": 2, "8x4": 4}
    check_devices(on_jax("devices", tmp_path / "devices.npz"), kinds)


# === Resuming ===


def check_resumed(whole: dict, resumed: dict) -> None:
    kept, expected = part(whole, "kept/"), part(whole, "end/")
    ours = part(resumed, "end/")
    assert ours.keys() == expected.keys() == kept.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert sum((value != kept[name]).any() for name, value in ours.items()) > 100


def test_resumed_run_is_the_same(quick):
    """Bitwise, from the model's and the optimizer's variables alone."""
    _, whole, _ = quick
    check_resumed(whole, part(whole, "resumed/"))


@pytest.mark.full
def test_run_resumed_in_another_process_is_the_same(quick):
    directory, whole, _ = quick
    check_resumed(whole, on_jax("second", directory / "second.npz"))


@pytest.mark.full
def test_resumed_run_in_float16_is_the_same(tmp_path):
    """The scale of the loss is part of the state."""
    whole = on_jax("half_first", tmp_path / "first.npz")
    check_resumed(whole, on_jax("half_second", tmp_path / "second.npz"))
    assert any(v.shape == () and v == 2.0**14 for v in part(whole, "kept/").values())
