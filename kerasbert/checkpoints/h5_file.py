"""HDF5 files of strangers, looked at before they are read."""

import contextlib
import math
import os
import pathlib
from collections.abc import Iterator

from kerasbert.checkpoints import sizes
from kerasbert.errors import InputError


def h5_shapes(path: str | os.PathLike) -> dict[str, tuple[int, ...]]:
    """The shapes of all datasets of a file by their names, none of which has been read.

    Raises:
        InputError: the file is damaged; or something in it is no plain array of numbers, lies in
            another file, or would take far more memory than the file has bytes.
    """
    import h5py

    shapes, total = {}, 0

    # h5py stops at the first of these that returns something; it would garble what they raise.
    def elsewhere(name, link):
        return f"{name} lies in another file" if isinstance(link, h5py.ExternalLink) else None

    def visit(name, item):
        nonlocal total
        if not isinstance(item, h5py.Dataset):
            return None
        # Keras says of bfloat16, which HDF5 does not know, what the bytes are.
        if item.dtype.kind not in "fiu" and item.attrs.get("dtype") != "bfloat16":
            return f"{name} is of the type {item.dtype}, which is no number"
        if item.external or item.is_virtual:
            return f"{name} lies in another file"
        shapes[name] = item.shape
        total += math.prod(item.shape) * item.dtype.itemsize
        return None

    with reading(path), h5py.File(path, "r") as file:
        if problem := file.visititems_links(elsewhere) or file.visititems(visit):
            raise InputError(f"{path}: {problem}")
    sizes.check_total(total, pathlib.Path(path).stat().st_size, str(path))
    return shapes


@contextlib.contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """While this lasts, what the HDF5 library raises is an `InputError` that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in too many ways to list
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: not a whole HDF5 file ({reason})") from None
