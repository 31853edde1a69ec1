"""Memory-mapped files, as arrays and as tensors."""

from __future__ import annotations

import ctypes
import mmap
import os
import pathlib
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf

# Of <sys/mman.h>, on Linux and macOS; the module mmap lacks them.
_PROT_NONE, _MAP_FIXED = 0, 0x10


def mapped(
    paths: Sequence[pathlib.Path], counts: Sequence[int], dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Maps files of integers into memory, one after the other.

    One array holds all of them, so that the graph that reads it is the same for any number of
    files. As the memory maps of Python keep their files open, and limits on open files are low on
    some systems, they are not used.

    Args:
        paths: paths of the files, at least one.
        counts: the number of integers in each.
        dtype: dtype of the integers.

    Returns:
        The integers of all files, (integers,), read-only; each file begins with a new page, and
        what is between files is not defined. And the index of the first integer of each file.

    Raises:
        InputError: a file can't be read, or has another number of integers.
    """
    sizes = [_size(path, count, dtype.itemsize) for path, count in zip(paths, counts, strict=True)]
    pages = -(-np.array(sizes) // mmap.PAGESIZE)
    ends = np.cumsum(pages) * mmap.PAGESIZE
    begins = ends - pages * mmap.PAGESIZE
    memory = _reserved(int(ends[-1]))
    for path, begin, size in zip(paths, begins.tolist(), sizes, strict=True):
        try:
            with open(path, "rb") as file:
                address = ctypes.addressof(memory) + begin
                # Pages that could be written would count as memory in use, although none is.
                _mmap(address, size, mmap.PROT_READ, mmap.MAP_PRIVATE | _MAP_FIXED, file.fileno())
        except OSError as error:
            raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    values = np.frombuffer(memory, dtype)
    values.flags.writeable = False
    return values, begins // dtype.itemsize


def read_at_random(mapped: np.ndarray) -> None:
    """Tells the system that single values will be read, so that it reads no pages around them."""
    _libc().madvise(mapped.ctypes.data, mapped.nbytes, mmap.MADV_RANDOM)


def _size(path: pathlib.Path, count: int, itemsize: int) -> int:
    """Returns the size of a file in bytes, after checking it."""
    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    if size != count * itemsize or not size:
        found = f"{size / itemsize:.10g}"
        raise InputError(f"{path}: contains {found} numbers, expected {count}")
    return size


def _reserved(size: int) -> Any:  # an array of ctypes, which is a buffer
    """Reserves addresses, which are freed with the object."""
    address = _mmap(None, size, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
    memory = (ctypes.c_char * size).from_address(address)
    # Not at interpreter exit, when other threads may still read it.
    weakref.finalize(memory, _libc().munmap, address, size).atexit = False
    return memory


def _mmap(address: int | None, size: int, access: int, flags: int, descriptor: int) -> int:
    found = _libc().mmap(address, size, access, flags, descriptor, 0)
    if found == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc


def shared_tensor(mapped: np.ndarray) -> tf.Tensor:
    """Returns a tensor that shares the memory of mapped files; nothing is copied.

    This way, the graph alone draws batches. A Python function in the input pipeline would work too,
    but an iterator that is deleted while such a function waits for the interpreter's lock never
    returns.
    """
    values = mapped.view()
    values.flags.writeable = True  # or it can't become a tensor, which nothing writes either
    with tf.device("CPU"):
        return tf.experimental.dlpack.from_dlpack(values.__dlpack__())
