"""Lazy attributes of packages, and lazy imports of TensorFlow.

They make `import kerasbert` fast, and allow use without TensorFlow where it is not needed.
"""

import contextlib
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any

from kerasbert import renamed
from kerasbert.errors import InputError


def attributes(
    package: str,
    names: Mapping[str, str],
    modules: Iterable[str] = (),
    formerly: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Callable[..., Any], Callable[..., Any], list[str]]:
    """Returns the functions that give a package lazy attributes.

    Args:
        package: string, its `__name__`.
        names: dict from names to the modules that define them, relative to the package; a leading
            dot means the parent package.
        modules: names of modules of the package that are also lazy attributes.
        formerly: dict from old names to new ones; old names warn.

    Returns:
        The package's `__getattr__`, `__dir__` and `__all__`.
    """

    def get(name: str):
        if not _only_lists(sys._getframe().f_back):
            if name in formerly:
                renamed.warn(f"{package}.{name}", f"{package}.{formerly[name]}")
                name = formerly[name]
            if name in names:
                return getattr(importlib.import_module(f".{names[name]}", package), name)
            if name in modules:
                return importlib.import_module(f"{package}.{name}")
        raise AttributeError(
            f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package]
        )

    public = sorted(names)
    return get, lambda: sorted([*public, *modules]), public


def _only_lists(caller: FrameType | None) -> bool:
    """Returns whether Python gets every attribute only to list it, and passes over missing ones.

    `help(kerasbert)` and completion at the prompt would otherwise import everything, which takes
    many seconds. `help` shows the package's docstring, which describes the names.
    """
    inspects = _module_of(caller) == "inspect"
    while caller is not None and _module_of(caller) == "inspect":
        caller = caller.f_back
    return _module_of(caller) == ("pydoc" if inspects else "rlcompleter")


def _module_of(caller: FrameType | None) -> str:
    return caller.f_globals.get("__name__", "") if caller else ""


class _Library:
    """A library that is imported on first use."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, name: str):
        return getattr(_imported(self._name), name)


def _imported(name: str):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise InputError(
            f"this needs TensorFlow, and {name} is not installed: pip install tensorflow "
            "tensorflow-text; with KERAS_BACKEND=jax, models on ready features and pretraining on "
            "a prepared corpus do without"
        ) from None


def extra(module: str, package: str) -> Any:
    """Imports a module of a package that is not installed with kerasbert.

    Raises:
        InputError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not module.startswith(error.name or " "):
            raise
        raise InputError(
            f"this needs {module.partition('.')[0]}, which is not installed: pip install {package}"
        ) from None


#: Lazy `tensorflow` and `tensorflow_text`. Annotations must not evaluate them at import: use `from
#: __future__ import annotations`.
if TYPE_CHECKING:
    import tensorflow
    import tensorflow_text
else:
    tensorflow, tensorflow_text = _Library("tensorflow"), _Library("tensorflow_text")


def has_tensorflow() -> bool:
    """Returns whether TensorFlow is installed, without importing it."""
    return importlib.util.find_spec("tensorflow") is not None


def import_tensorflow(*, for_text: bool = False) -> None:
    """Imports TensorFlow and its ops of text now, so that they are silent in `quiet_imports`.

    Args:
        for_text: whether it only reads text for another backend, to which it leaves the GPUs.
    """
    for name in ("tensorflow", "tensorflow_text"):
        _imported(name)
    if for_text:
        tensorflow.config.set_visible_devices([], "GPU")


_NOTHING = "3"  # the level of TensorFlow's logging at which its libraries say nothing


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Suppresses the output of TensorFlow's libraries while they are loaded.

    No setting suppresses it (tensorflow issue 100442), so the file descriptor of stderr is
    redirected. The output is shown only if loading fails, or to a user who has set
    TF_CPP_MIN_LOG_LEVEL to show it.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _NOTHING) != _NOTHING:
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
            if sys.modules.get("tensorflow"):  # looks for accelerators, with notes of its own
                sys.modules["tensorflow"].config.list_physical_devices()
        except Exception:
            written.seek(0)
            os.write(terminal, written.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
