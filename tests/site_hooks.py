"""Loads docs/_site/hooks.py, which knows the public names, without the packages of the site."""

import importlib.util
import pathlib
import sys
import types
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[1]


def load() -> types.ModuleType:
    """Returns the hooks of the site."""
    modules = {name: types.ModuleType(name) for name in ("mkdocs", "mkdocs.structure")}
    modules["mkdocs.structure.files"] = types.SimpleNamespace(File=None)
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs/_site/hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, modules):
        spec.loader.exec_module(hooks)
    return hooks
