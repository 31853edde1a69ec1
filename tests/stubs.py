"""Writes `__init__.pyi` of the packages with lazy attributes, for editors and type checkers.

    python tests/stubs.py

Run it after a change of their names; `tests/test_import.py` compares the files.
"""

import importlib
import pathlib
import types

ROOT = pathlib.Path(__file__).resolve().parents[1]
_HEAD = "# Written by tests/stubs.py.\n"


def packages() -> list[str]:
    """Returns the names of the packages with lazy attributes."""
    paths = sorted(ROOT.glob("kerasbert/**/__init__.py"))
    lazy = [path.parent for path in paths if "lazy.attributes(" in path.read_text()]
    return [".".join(path.relative_to(ROOT).parts) for path in lazy]


def path_of(package: str) -> pathlib.Path:
    """Returns the path of a package's stub."""
    return ROOT.joinpath(*package.split("."), "__init__.pyi")


def stub_of(package: str) -> str:
    """Returns the text of a package's stub."""
    module = importlib.import_module(package)
    lines = []
    for name in dir(module):
        value = getattr(module, name)
        home = package if isinstance(value, types.ModuleType) else value.__module__
        lines.append(f"from {home} import {name} as {name}\n")
    if hasattr(module, "__version__"):
        lines.append("\n__version__: str\n")
    names = "".join(f'    "{name}",\n' for name in sorted(module.__all__))
    return f"{_HEAD}\n{''.join(sorted(lines, key=_order))}\n__all__ = [\n{names}]\n"


def _order(line: str) -> tuple:
    return (not line.startswith("from"), line)


if __name__ == "__main__":
    for each in packages():
        path_of(each).write_text(stub_of(each))
