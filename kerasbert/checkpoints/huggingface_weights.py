"""The files that transformers keeps weights in: every tensor of a directory, by its plain name."""

import os
import pathlib
import re
from collections.abc import Callable, Mapping

import numpy as np

from kerasbert import files
from kerasbert.checkpoints.safetensors_file import read_safetensors
from kerasbert.checkpoints.tf_file import read_tf_file
from kerasbert.checkpoints.torch_file import read_torch_file
from kerasbert.errors import InputError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TORCH_WEIGHTS, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
TF_WEIGHTS = "tf_model.h5"


def has_weights(directory: pathlib.Path) -> bool:
    """Whether there is a file that transformers reads weights from."""
    return any((directory / name).exists() for name in _READERS)


def plain_tensors(directory: pathlib.Path, prefix: str) -> tuple[dict[str, np.ndarray], str]:
    """As `read_tensors`, by the names that the newest files use, without `prefix`."""
    tensors, source = read_tensors(directory)
    tensors = _without_wrapper(tensors)
    return {_plain_name(name, prefix): array for name, array in tensors.items()}, source


def read_tensors(directory: pathlib.Path) -> tuple[dict[str, np.ndarray], str]:
    """Every tensor of a directory, by name, and the file that they are in.

    Raises:
        InputError: no weights, a shard that is missing, or a damaged file.
    """
    for name, read in _READERS.items():
        if (directory / name).exists():
            return read(directory / name), str(directory / name)
    raise InputError(f"{directory}: has neither {' nor '.join(_READERS)}")


def _read_shards(index: pathlib.Path, read: Callable) -> dict[str, np.ndarray]:
    where = files.read_json(index).get("weight_map")
    if not isinstance(where, dict) or not all(isinstance(s, str) for s in where.values()):
        raise InputError(f"{index}: has no weight_map of names to files")
    tensors = {}
    for shard in sorted(set(where.values())):
        if pathlib.Path(shard).name != shard or not os.path.isfile(index.parent / shard):
            raise InputError(f"{index}: names {shard}, which is not there")
        tensors |= read(index.parent / shard)
    if missing := sorted(where.keys() - tensors.keys()):
        raise InputError(f"{index}: {missing[0]} is not in {where[missing[0]]}")
    return tensors


# By the name of a file of weights, the usual one first.
_READERS = {
    WEIGHTS: read_safetensors,
    INDEX: lambda index: _read_shards(index, read_safetensors),
    TORCH_WEIGHTS: read_torch_file,
    TORCH_INDEX: lambda index: _read_shards(index, read_torch_file),
    TF_WEIGHTS: read_tf_file,
}


def _without_wrapper(tensors: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Without what a wrapper puts before every name: DataParallel "module.", Lightning "model."."""
    for prefix in ("module.", "model."):
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): array for name, array in tensors.items()}
    return tensors


def _plain_name(name: str, prefix: str) -> str:
    name = name.removeprefix(prefix)
    # Files from before 2019 say it as TensorFlow does.
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
