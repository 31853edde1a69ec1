"""Memory-mapped files, as arrays and as tensors."""

from __future__ import annotations

import ctypes
import mmap
import os
import pathlib
import weakref

import numpy as np

from kerasbert.lazy import tensorflow as tf


def mapped(path: pathlib.Path, dtype: np.dtype) -> np.ndarray:
    """Maps a file of integers into memory.

    The memory maps of Python keep their files open, and limits on open files are low on some
    systems.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    # Copy-on-write, because a read-only mapping can't become a tensor.
    access = mmap.PROT_READ | mmap.PROT_WRITE
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise ValueError("is empty")
        address = libc.mmap(None, size, access, mmap.MAP_PRIVATE, file.fileno(), 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    memory = (ctypes.c_char * size).from_address(address)
    # Not at interpreter exit, when other threads may still read it.
    weakref.finalize(memory, libc.munmap, address, size).atexit = False
    return np.frombuffer(memory, dtype)


def shared_tensor(mapped: np.ndarray) -> tf.Tensor:
    """Returns a tensor that shares the memory of the mapped file; nothing is copied.

    This way, the graph alone draws batches. A Python function in the input pipeline would work too,
    but an iterator that is deleted while such a function waits for the interpreter's lock never
    returns.
    """
    with tf.device("CPU"):
        return tf.experimental.dlpack.from_dlpack(mapped.__dlpack__())
