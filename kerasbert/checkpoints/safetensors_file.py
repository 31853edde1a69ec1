"""Reading of safetensors files."""

import os

import ml_dtypes  # noqa: F401 - adds bfloat16 to NumPy, which safetensors needs
import numpy as np
import safetensors

from kerasbert import files
from kerasbert.errors import InputError

# The types of safetensors in which one number is one element of an array.
_KNOWN = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads all tensors of a file by name; floats of any type become float32.

    Raises:
        InputError: the file is damaged, or a tensor is quantized or complex.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return {name: _tensor(path, file, name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        files.refuse_stand_in(path)
        raise InputError(f"{path}: not a complete safetensors file ({error})") from None


def _tensor(path, file, name: str) -> np.ndarray:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in _KNOWN:
        raise InputError(
            f"{path}: {name} has the type {dtype}, which is not supported; convert the "
            "model to float32, float16 or bfloat16"
        )
    try:
        array = file.get_tensor(name)
    except ValueError as error:  # for example more dimensions than NumPy supports
        raise InputError(f"{path}: {name} is not an array ({error})") from None
    if dtype == "BOOL" or dtype[0] not in "FB":
        return array
    # Converted one at a time: the whole file in float16 would take half as much memory again.
    with np.errstate(over="ignore"):  # infinite values are rejected later
        return array.astype(np.float32, copy=False)
