import os
import subprocess
import sys

import pytest

import kerasbert
from kerasbert import registration


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def test_import_is_quick_and_silent():
    code = "import sys, kerasbert; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    child = python("-c", code)
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")


def test_zoo_gives_no_python_warning():
    child = python("-W", "default", "-c", "import kerasbert.loading")
    assert child.returncode == 0, child.stderr
    assert not [line for line in child.stderr.splitlines() if "Warning" in line]


PACKAGES = (kerasbert, kerasbert.data, kerasbert.tasks, kerasbert.training)


@pytest.mark.parametrize(("package", "name"), [(p, name) for p in PACKAGES for name in p.__all__])
def test_public_names_resolve(package, name):
    assert getattr(package, name).__name__ == name
    assert name in dir(package)


ROOMS = [
    "data",
    "distillation",
    "layers",
    "metrics",
    "serving",
    "tasks",
    "text",
    "training",
    "loading",
]


@pytest.mark.parametrize("name", ROOMS)
def test_packages_resolve(name):
    assert getattr(kerasbert, name).__name__ == f"kerasbert.{name}"
    assert name in dir(kerasbert)


def test_unknown_name():
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        kerasbert.Nothing  # noqa: B018


@pytest.mark.parametrize("code", ["import kerasbert.loading", "import kerasbert, keras"])
def test_other_backends_are_refused(code):
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert child.returncode == 1
    assert child.stderr.splitlines()[-1] == (
        "kerasbert.errors.InputError: Keras's backend is torch, but kerasbert supports only "
        "tensorflow and jax (jax: ready features, not text); set KERAS_BACKEND=tensorflow"
    )


def test_backend_of_keras_s_file(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert registration.chosen_backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    assert registration.chosen_backend() == "torch"
