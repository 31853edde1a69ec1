"""What is imported when it is asked for: names of a package, and TensorFlow.

So importing kerasbert is quick, and what needs no TensorFlow runs where it is not installed.
"""

import contextlib
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from kerasbert import renamed
from kerasbert.errors import InputError


def attributes(
    package: str,
    names: Mapping[str, str],
    modules: Iterable[str] = (),
    formerly: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Callable, Callable, list[str]]:
    """What a package's `__init__` needs for such names.

    Args:
        package: its `__name__`.
        names: the module, inside of the package, that each name is in; with a dot before it, beside
            the package.
        modules: modules of the package that are attributes without being imported, too.
        formerly: old names and their new ones; the old ones warn.

    Returns:
        The package's `__getattr__`, `__dir__` and `__all__`.
    """

    def get(name: str):
        if name in formerly:
            renamed.warn(f"{package}.{name}", f"{package}.{formerly[name]}")
            name = formerly[name]
        if name in names:
            return getattr(importlib.import_module(f".{names[name]}", package), name)
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    public = sorted(names)
    return get, lambda: sorted([*public, *modules]), public


class _Library:
    """A library that is imported when something of it is used."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, name: str):
        try:
            library = importlib.import_module(self._name)
        except ModuleNotFoundError as error:
            if error.name != self._name:
                raise
            raise InputError(
                f"this needs TensorFlow, and {self._name} is not installed: pip install tensorflow "
                "tensorflow-text; with KERAS_BACKEND=jax, models on ready features and pretraining "
                "on a prepared corpus do without"
            ) from None
        return getattr(library, name)


#: `import tensorflow`, and `import tensorflow_text`, when they are used. Annotations must not use
#: them when a module is imported: `from __future__ import annotations`.
tensorflow, tensorflow_text = _Library("tensorflow"), _Library("tensorflow_text")


def has_tensorflow() -> bool:
    """Whether TensorFlow is installed; it is not imported."""
    return importlib.util.find_spec("tensorflow") is not None


def import_tensorflow() -> None:
    """Imports TensorFlow and its ops of text now, so that they are silent in `quiet_imports`."""
    for name in ("tensorflow", "tensorflow_text"):
        importlib.import_module(name)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Keeps what TensorFlow's libraries print while they are loaded off the terminal.

    No setting does (tensorflow issue 100442), so the file descriptor is turned away, and what was
    written is shown only if loading fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
            if "tensorflow" in sys.modules:  # looks for accelerators, with notes of its own
                sys.modules["tensorflow"].config.list_physical_devices()
        except Exception:
            written.seek(0)
            os.write(terminal, written.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
