"""`model.safetensors`: tensors by name, in native order."""

import os

import ml_dtypes  # noqa: F401 - without it NumPy, and so safetensors, knows no bfloat16
import numpy as np
import safetensors

from kerasbert.errors import InputError

# Of the types that safetensors knows, those of which one number is one element of an array.
_KNOWN = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")


def read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads all tensors of a file; those of any float are float32.

    Raises:
        InputError: the file is damaged, or a tensor is of a type that is quantized or complex.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return {name: _tensor(path, file, name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error})") from None


def _tensor(path, file, name: str) -> np.ndarray:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in _KNOWN:
        raise InputError(
            f"{path}: {name} is of the type {dtype}, which kerasbert does not read; convert the "
            "model to float32, float16 or bfloat16"
        )
    try:
        array = file.get_tensor(name)
    except ValueError as error:  # more dimensions than NumPy has, say
        raise InputError(f"{path}: {name} is no array ({error})") from None
    if dtype == "BOOL" or dtype[0] not in "FB":
        return array
    # One at a time: the file's halves beside all that they become would be half as much again.
    with np.errstate(over="ignore"):  # what is infinite then is refused later
        return array.astype(np.float32, copy=False)
