import subprocess
import sys

import pytest

import kerasbert


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def test_import_is_quick_and_silent():
    code = "import sys, kerasbert; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    child = python("-c", code)
    assert (child.returncode, child.stdout, child.stderr) == (0, "", "")


def test_zoo_gives_no_python_warning():
    child = python("-W", "default", "-c", "import kerasbert.zoo")
    assert child.returncode == 0, child.stderr
    assert not [line for line in child.stderr.splitlines() if "Warning" in line]


@pytest.mark.parametrize("name", kerasbert.__all__)
def test_public_names_resolve(name):
    assert getattr(kerasbert, name) is not None
    assert name in dir(kerasbert)


@pytest.mark.parametrize("name", ["data", "layers", "serving", "tasks", "text", "zoo"])
def test_rooms_resolve(name):
    assert getattr(kerasbert, name).__name__ == f"kerasbert.{name}"


def test_unknown_name():
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        kerasbert.Nothing  # noqa: B018
