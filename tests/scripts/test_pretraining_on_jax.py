"""What pretraining has beyond BERT's own recipe gives the same on JAX as on TensorFlow."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import programs
import pytest
from pretraining_program import CASES
from safetensors.numpy import load_file
from test_programs_on_jax import QUICKLY, WITHOUT_TENSORFLOW, metrics

from kerasbert.errors import InputError
from kerasbert.recipes.options import PretrainOptions

PROGRAM = pathlib.Path(__file__).with_name("pretraining_program.py")
QUICK = ("everything",)
NEEDS_TENSORFLOW = ("similar_words",)  # for the tokens of words


@pytest.fixture(scope="module")
def run_both(corpus_dir, tmp_path_factory):
    """Returns a function from cases to the directories of their runs, of JAX and of TensorFlow."""
    pytest.importorskip("jax")
    given = tmp_path_factory.mktemp("given")
    for name in ("one", "two"):
        shutil.copytree(corpus_dir, given / name)
    (given / "vectors.txt").write_text("cat 1 0\ndog 0.9 0.1\nhorse 1 0.1\ngood 0 1\nbad 0.1 1\n")

    def run_both(cases, before=(WITHOUT_TENSORFLOW,)):
        outputs = tmp_path_factory.mktemp("jax"), tmp_path_factory.mktemp("tensorflow")
        environment = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": QUICKLY}
        words = [sys.executable, *before, PROGRAM, given, outputs[0], *cases]
        pipe = subprocess.PIPE
        process = subprocess.Popen(words, env=environment, stdout=pipe, stderr=pipe, text=True)
        try:
            ended = programs.run([PROGRAM, given, outputs[1], *cases], timeout=500)
            assert ended.returncode == 0, ended.stderr
            _, said = process.communicate(timeout=500)
            assert process.returncode == 0, said
        finally:
            process.kill()
        return outputs

    return run_both


@pytest.fixture(scope="module")
def quick(run_both):
    return run_both(QUICK)


@pytest.fixture(scope="module")
def others(run_both):
    return run_both([case for case in CASES if case not in (*QUICK, *NEEDS_TENSORFLOW)])


def check_same(outputs, case):
    runs = [output / case for output in outputs]
    ours, theirs = map(metrics, runs)
    assert len(ours) > 1
    for found, expected in zip(ours, theirs, strict=True):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)
    paths = [*runs[1].glob("model/**/*.safetensors")]
    assert len(paths) == 1 + (case == "rtd")
    for path in paths:
        found, expected = load_file(runs[0] / path.relative_to(runs[1])), load_file(path)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            # The gradient of the key's bias is rounding, which Adam makes as large as any.
            if "key/bias" not in name:
                np.testing.assert_allclose(value, expected[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", QUICK)
def test_same_as_on_tensorflow(quick, case):
    check_same(quick, case)


@pytest.mark.full
@pytest.mark.parametrize("case", [c for c in CASES if c not in (*QUICK, *NEEDS_TENSORFLOW)])
def test_every_option_is_as_on_tensorflow(others, case):
    check_same(others, case)


@pytest.mark.full
@pytest.mark.parametrize("case", NEEDS_TENSORFLOW)
def test_what_needs_tensorflow_for_text(run_both, case):
    check_same(run_both([case], before=()), case)


def test_similar_words_without_tensorflow(monkeypatch):
    pytest.importorskip("jax")
    given = {"corpus": "c", "output": "o", "mask_unit": "ngram", "similar_words": "vectors.txt"}
    PretrainOptions(**given, backend="jax")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(InputError, match="--similar_words tokenizes words with TensorFlow, which"):
        PretrainOptions(**given, backend="jax")
