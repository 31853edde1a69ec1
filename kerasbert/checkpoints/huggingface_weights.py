"""The weight files of transformers: all tensors of a directory, by normalized name."""

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
    """Returns whether there is a weight file that transformers can read."""
    return any((directory / name).exists() for name in _READERS)


def weight_files(directory: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files that `read_tensors` reads, none if there are no weights."""
    path = next((directory / name for name in _READERS if (directory / name).exists()), None)
    if path is None:
        return []
    shards = set(_shards(path).values()) if path.name in (INDEX, TORCH_INDEX) else ()
    return [path, *(directory / shard for shard in sorted(shards))]


def plain_tensors(directory: pathlib.Path, prefix: str) -> tuple[dict[str, np.ndarray], str]:
    """Reads all tensors, with today's names and without `prefix`.

    Raises:
        InputError: as `read_tensors`; or two different tensors have the same name then.
    """
    tensors, source = read_tensors(directory)
    spelled, plain = {}, {}
    for name, array in _without_wrapper(tensors).items():
        short = _plain_name(name, prefix)
        if short in plain and not np.array_equal(plain[short], array):
            first = spelled[short]
            raise InputError(f"{source}: has both {first} and {name}, which differ; remove one")
        spelled[short], plain[short] = name, array
    return plain, source


def read_tensors(directory: pathlib.Path) -> tuple[dict[str, np.ndarray], str]:
    """Returns all tensors of a directory by name, and the path of their file.

    Raises:
        InputError: there are no weights, a shard is missing, or a file is damaged.
    """
    for name, read in _READERS.items():
        if (directory / name).exists():
            return read(directory / name), str(directory / name)
    raise InputError(f"{directory}: has neither {' nor '.join(_READERS)}")


def _read_shards(index: pathlib.Path, read: Callable) -> dict[str, np.ndarray]:
    where, tensors = _shards(index), {}
    for shard in sorted(set(where.values())):
        tensors |= read(index.parent / shard)
    if missing := sorted(where.keys() - tensors.keys()):
        raise InputError(f"{index}: {missing[0]} is not in {where[missing[0]]}")
    return tensors


def _shards(index: pathlib.Path) -> dict[str, str]:
    """Returns the file of each tensor."""
    where = files.read_json(index).get("weight_map")
    if not isinstance(where, dict) or not all(isinstance(s, str) for s in where.values()):
        raise InputError(f"{index}: has no weight_map from names to files")
    for shard in sorted(set(where.values())):
        if pathlib.Path(shard).name != shard or not os.path.isfile(index.parent / shard):
            raise InputError(f"{index}: lists {shard}, which does not exist")
    return where


# The reader of each weight file, in order of preference.
_READERS = {
    WEIGHTS: read_safetensors,
    INDEX: lambda index: _read_shards(index, read_safetensors),
    TORCH_WEIGHTS: read_torch_file,
    TORCH_INDEX: lambda index: _read_shards(index, read_torch_file),
    TF_WEIGHTS: read_tf_file,
}


def _without_wrapper(tensors: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Removes the prefix of a wrapper: "module." of DataParallel, "model." of Lightning."""
    for prefix in ("module.", "model."):
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): array for name, array in tensors.items()}
    return tensors


def _plain_name(name: str, prefix: str) -> str:
    name = name.removeprefix(prefix)
    # Files from before 2019 use TensorFlow's names.
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
