"""Names of a package that are imported when they are asked for, so that importing it is quick."""

import importlib
from collections.abc import Callable, Iterable, Mapping


def attributes(
    package: str, names: Mapping[str, str], modules: Iterable[str] = ()
) -> tuple[Callable, Callable, list[str]]:
    """What a package's `__init__` needs for such names.

    Args:
        package: its `__name__`.
        names: the module, inside of the package, that each name is in; with a dot before it, beside
            the package.
        modules: modules of the package that are attributes without being imported, too.

    Returns:
        The package's `__getattr__`, `__dir__` and `__all__`.
    """

    def get(name: str):
        if name in names:
            return getattr(importlib.import_module(f".{names[name]}", package), name)
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    public = sorted(names)
    return get, lambda: sorted([*public, *modules]), public
