"""Only `kerasbert/_compat.py` uses private API of Keras and TensorFlow."""

import ast
import inspect
import pathlib
import re

import pytest

import kerasbert
from kerasbert import _compat

PACKAGE = pathlib.Path(kerasbert.__file__).parent
TESTS = pathlib.Path(__file__).parent
TREES = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
# Private names that Python and Apache Beam (a hook for options) document.
PUBLIC = {"_add_argparse_args", "_asdict", "_exit", "_getframe", "_replace"}
# Names in files that are read.
NO_API = {"torch._utils"}


def ours() -> set[str]:
    """Returns all names that kerasbert itself defines."""
    names = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    names.add(node.name)
                case ast.Attribute(ctx=ast.Store()):
                    names.add(node.attr)
                case ast.Name(ctx=ast.Store()):
                    names.add(node.id)
                case ast.alias():
                    names.add((node.asname or node.name).rpartition(".")[2])
    return names


def private(tree, known: set[str]):
    """Returns the private names of other packages that a module uses."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name):
                dunder = name.startswith("__") and name != "__internal__"
                if re.match("_.", name) and not dunder and name not in known:
                    yield node.lineno, name
            case ast.Import() | ast.ImportFrom():
                modules = [getattr(node, "module", None), *(one.name for one in node.names)]
                yield from ((node.lineno, m) for m in modules if m and is_private(m))
            case ast.Constant(value=str(text)) if re.fullmatch(r"[a-z]\w*(\.\w+)+", text):
                if is_private(text) and text not in NO_API:
                    yield node.lineno, text


def is_private(module: str) -> bool:
    first, *rest = module.split(".")
    hidden = any(part in ("src", "python") or part.startswith("_") for part in rest)
    return hidden and first != "kerasbert"


def test_nothing_private_is_used_elsewhere():
    of_compat = {name for _, name in private(TREES[PACKAGE / "_compat.py"], PUBLIC)}
    known = (ours() - of_compat) | PUBLIC
    found = {
        f"{path.relative_to(PACKAGE)}:{line}: {name}"
        for path, tree in TREES.items()
        if path.name != "_compat.py"
        for line, name in private(tree, known)
    }
    assert not found


def entries() -> dict[str, str]:
    """Returns the documentation of each entry in `_compat.py`."""
    found = {
        name: inspect.getdoc(value)
        for name, value in vars(_compat).items()
        if getattr(value, "__module__", None) == _compat.__name__
    }
    text = pathlib.Path(_compat.__file__).read_text()
    constants = re.findall(r"((?:^#: .*\n)+)^([A-Z_]+)\b", text, re.MULTILINE)
    return found | {name: comment for comment, name in constants}


@pytest.mark.parametrize("name", entries())
def test_a_test_would_notice(name):
    test = re.search(r"Test: tests/(\S+)::(test_\w+)$", entries()[name].strip())
    assert test, f"{name} names no test"
    path, function = test.groups()
    assert f"def {function}(" in (TESTS / path).read_text()
