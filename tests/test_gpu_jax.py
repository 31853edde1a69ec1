"""On JAX, GPUs give the same results as CPUs: `pytest -m gpu --full`; needs no TensorFlow.

Where TensorFlow is not installed: `KERAS_BACKEND=jax pytest -m gpu --full tests/test_gpu_jax.py`.
`--device=CPU:0` tries the tests themselves without a GPU.
"""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from resuming import assert_resumes_bitwise

from kerasbert.data.corpus.writer import CorpusWriter

pytestmark = pytest.mark.gpu

TESTS = pathlib.Path(__file__).resolve().parent
PRETRAIN = TESTS.parent / "scripts" / "pretrain.py"


def environment(platform):
    # The default is what TensorFloat-32 is on TensorFlow.
    exact = {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}
    return {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": platform, **exact}


@pytest.fixture(scope="module")
def platform(request):
    jax = pytest.importorskip("jax")
    if request.config.getoption("--device").startswith("CPU"):
        return "cpu"
    if not any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("JAX sees no GPU")
    return "cuda"


@pytest.fixture(scope="module")
def found(platform, tmp_path_factory):
    """What two programs found on a CPU and on the device."""
    directory, arrays = tmp_path_factory.mktemp("found"), {}
    for program in ("gpu_program", "backends_program"):
        for name, where in {"cpu": "cpu", "gpu": platform}.items():
            file = directory / f"{program}-{name}.npz"
            command = [sys.executable, TESTS / f"{program}.py", file]
            ended = subprocess.run(command, env=environment(where), capture_output=True, text=True)
            assert ended.returncode == 0, ended.stderr
            arrays[program, name] = dict(np.load(file))
    return arrays


def test_losses_and_gradients_are_those_of_a_cpu(found):
    gpu, cpu = (found["gpu_program", name] for name in ("gpu", "cpu"))
    np.testing.assert_allclose(gpu["losses"], cpu["losses"], rtol=1e-4)
    assert gpu["losses"][-1] < gpu["losses"][0]
    names = [name for name in cpu if name.startswith("moved/")]
    assert len(names) > 30
    for name in names:
        np.testing.assert_allclose(gpu[name], cpu[name], atol=1e-4, err_msg=name)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_mixed_precision(kind, platform, found):
    if platform == "cpu" and kind == "float16":
        pytest.skip("JAX has no products of float16 on a CPU")
    gpu = found["gpu_program", "gpu"]
    np.testing.assert_allclose(gpu[f"losses_{kind}"], gpu["losses"], rtol=1e-2)
    assert not np.array_equal(gpu[f"losses_{kind}"], gpu["losses"])


def test_dropout_differs_from_step_to_step(found):
    assert len(set(found["gpu_program", "gpu"]["losses_dropout"].tolist())) == 4


def test_a_model_directory_loads(found):
    gpu = found["gpu_program", "gpu"]
    np.testing.assert_array_equal(gpu["outputs_loaded"], gpu["outputs_model"])
    assert np.abs(gpu["outputs_model"]).max() > 0.1


def test_every_task_matches_the_cpu(found):
    gpu, cpu = (found["backends_program", name] for name in ("gpu", "cpu"))
    for name, value in cpu.items():
        # The gradient of the key's bias is rounding noise, which AdamW amplifies.
        if not ("/adamw/" in name and "key/bias" in name):
            np.testing.assert_allclose(gpu[name], value, atol=1e-4, err_msg=name)


def test_a_killed_run_resumes_bitwise(platform, tokenizer, tmp_path):
    random = np.random.default_rng(0)
    lengths, corpus = random.integers(3, 20, 400), tmp_path / "corpus"
    corpus.mkdir()
    with CorpusWriter(corpus, tokenizer, 10_000) as writer:
        ids = random.integers(5, tokenizer.vocabulary_size, lengths.sum())
        writer.add(ids, lengths, np.arange(400) // 10)
        writer.finish()
    flags = {
        "backend": "jax",
        "corpus": corpus,
        "preset": "bert_tiny",
        "batch_size": 8,
        "sequence_length": 32,
        "steps": 60,
        "deterministic": True,
        "checkpoint_every_steps": 4,
    }
    program = [sys.executable, PRETRAIN, *(f"--{name}={value}" for name, value in flags.items())]

    assert_resumes_bitwise(program, tmp_path, env=environment(platform))
