"""Checks of untrusted HDF5 files before they are read."""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator

from kerasbert import files
from kerasbert.checkpoints import sizes
from kerasbert.errors import InputError


def h5_shapes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of all datasets of a file by name, without reading the data.

    Raises:
        InputError: the file is damaged, or a dataset is not a plain array of numbers, is in another
            file, or would take far more memory than the size of the file.
    """
    import h5py

    shapes, total = {}, 0

    # h5py stops at the first call that returns a value; exceptions raised here would be garbled.
    def elsewhere(name, link):
        return f"{name} is stored in another file" if isinstance(link, h5py.ExternalLink) else None

    def visit(name, item):
        nonlocal total
        if not isinstance(item, h5py.Dataset):
            return None
        # Keras stores bfloat16, which HDF5 lacks, as bytes with an attribute.
        if item.dtype.kind not in "fiu" and item.attrs.get("dtype") != "bfloat16":
            return f"{name} has the type {item.dtype}, expected numbers"
        if item.external or item.is_virtual:
            return f"{name} is stored in another file"
        shapes[name] = item.shape
        total += math.prod(item.shape) * item.dtype.itemsize
        return None

    with reading(path), h5py.File(path, "r") as file:
        if problem := file.visititems_links(elsewhere) or file.visititems(visit):
            raise InputError(f"{path}: {problem}")
    sizes.check_total(total, pathlib.Path(path).stat().st_size, str(path))
    return shapes


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Converts exceptions of the HDF5 library to `InputError`s that name the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in too many ways to list
        files.refuse_stand_in(path)
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: not a complete HDF5 file ({reason})") from None
