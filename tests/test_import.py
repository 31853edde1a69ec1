import importlib
import inspect
import os
import re
import subprocess
import sys

import pytest
import stubs

import kerasbert
from kerasbert import lazy, registration
from kerasbert.tasks import registry
from kerasbert.text.tokenizer import Tokenizer


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


PACKAGES = (kerasbert, kerasbert.data, kerasbert.serving, kerasbert.tasks, kerasbert.training)


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


def test_a_mistyped_name_is_corrected():
    """By Python, which looks at `name` and `obj` of the error."""
    child = python("-c", "import kerasbert; kerasbert.TextClasifier")
    assert child.stderr.splitlines()[-1] == (
        "AttributeError: module 'kerasbert' has no attribute 'TextClasifier'. Did you mean: "
        "'TextClassifier'?"
    )


def test_help_is_quick_and_lists_every_name():
    child = python("-c", "import sys, kerasbert; help(kerasbert); print('keras' in sys.modules)")
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.endswith("False\n")
    for name in dir(kerasbert):
        assert re.search(rf"^ +{name} {{2,}}\w", child.stdout, re.MULTILINE), name


def test_other_programs_get_every_name():
    for package in PACKAGES:
        assert set(dir(package)) <= {name for name, _ in inspect.getmembers(package)}


def test_completion_at_the_prompt_is_quick():
    code = (
        "import sys, rlcompleter, kerasbert\n"
        "print(rlcompleter.Completer(globals()).attr_matches('kerasbert.Text'))\n"
        "print('keras' in sys.modules)"
    )
    child = python("-c", code)
    assert child.stdout == "['kerasbert.TextClassifier', 'kerasbert.TextEmbedder']\nFalse\n"


@pytest.mark.parametrize("package", stubs.packages())
def test_docstrings_list_the_lazy_names(package):
    module = importlib.import_module(package)
    lines = re.findall(r"^(?: {4})?(\w+(?:, \w+)*) {2,}\w", module.__doc__, re.MULTILINE)
    assert sorted(name for line in lines for name in line.split(", ")) == dir(module)


@pytest.mark.parametrize("level", [None, "0", "3"])
def test_notes_of_libraries_are_shown_to_those_who_ask(level, monkeypatch, capfd):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    if level is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with lazy.quiet_imports():
        os.write(2, b"oneDNN custom operations are on\n")
    assert bool(capfd.readouterr().err) == (level == "0")


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


@pytest.mark.parametrize("package", stubs.packages())
def test_editors_know_the_lazy_names(package):
    written = stubs.path_of(package).read_text()
    assert written == stubs.stub_of(package), "run python tests/stubs.py"


def test_the_package_says_that_it_is_typed():
    assert stubs.path_of("kerasbert").with_name("py.typed").exists()


METHODS = ("fit", "from_preset", "score", "save_to_preset")


@pytest.mark.parametrize("name", registry.TASKS)
def test_results_of_tasks_are_typed(name):
    """So that editors complete `from_preset(...).classify(...)`."""
    task = getattr(kerasbert, name)
    for method in METHODS:
        function = inspect.unwrap(getattr(task, method))
        function = getattr(function, "__func__", function)
        assert "return" in inspect.unwrap(function).__annotations__, method
    assert inspect.unwrap(kerasbert.tokenizer_from_preset).__annotations__["return"] is Tokenizer
