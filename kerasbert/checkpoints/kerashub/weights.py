"""The HDF5 files of a KerasHub preset, loaded into KerasHub models."""

import math
import pathlib
import warnings
from typing import Any

import numpy as np

from kerasbert import files
from kerasbert.checkpoints import sizes
from kerasbert.checkpoints.h5_file import h5_shapes
from kerasbert.checkpoints.kerashub.names import CONFIG, SHARDS, TASK_WEIGHTS, WEIGHTS, reason
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError


def weights_path(directory: pathlib.Path) -> pathlib.Path:
    """Returns the path of the encoder's weights, or of the list of their shards."""
    sharded = not (directory / WEIGHTS).exists() and (directory / SHARDS).exists()
    return directory / (SHARDS if sharded else WEIGHTS)


def check_sizes(
    directory: pathlib.Path, path: pathlib.Path, shapes: list[Any], config: Any
) -> None:
    """Raises `InputError` for files with fewer weights than the config has."""
    encoder_config = BackboneConfig(**{**config["backbone"], "pooler": False})  # optional
    sizes.check_layers(encoder_config, len(shapes), str(path))
    _check_count(path, shapes, sum(math.prod(s) for _, s in sizes.encoder_shapes(encoder_config)))
    if config["task"] is not None:
        classes = len(config["head"].get("classes", ()))
        task = directory / TASK_WEIGHTS
        _check_count(task, shapes_of(task), classes * encoder_config.hidden_dim)


def _check_count(path: pathlib.Path, shapes: list[tuple[int, ...]], least: int) -> None:
    if (count := sum(map(math.prod, shapes))) < least:
        raise InputError(f"{path}: has {count:,} numbers, but the JSON files need {least:,}")


def shapes_of(path: pathlib.Path) -> list[tuple[int, ...]]:
    """Returns the shapes of all weights in a file or in its shards."""
    if not path.exists():
        raise InputError(f"{path}: no such file; the preset is incomplete")
    shards = [path]
    if path.name == SHARDS:
        shards = sorted(path.parent.glob("model_*.weights.h5"))
        _check_named(path, {shard.name for shard in shards})
    return [
        shape
        for shard in shards
        for name, shape in h5_shapes(shard).items()
        if not name.startswith("optimizer/")
    ]


def _check_named(path: pathlib.Path, shards: set[str]) -> None:
    """Raises `InputError` if Keras would open other files than the shards."""
    where = files.read_json(path).get("weight_map")
    for named in where.values() if isinstance(where, dict) else [where]:
        for name in named if isinstance(named, list) else [named]:
            if not isinstance(name, str) or name not in shards:
                raise InputError(f"{path}: lists {name!r}, which is not an existing shard")


def load_weights(directory: pathlib.Path, path: pathlib.Path, model: Any, task: str | None) -> None:
    """Loads KerasHub's files into its model."""
    backbone = model if task is None else model.backbone
    _read_h5(path, backbone.weights, backbone.load_weights)
    if task is not None:
        encoder = {id(variable) for variable in backbone.weights}
        head = [variable for variable in model.weights if id(variable) not in encoder]
        _read_h5(directory / TASK_WEIGHTS, head, model.load_task_weights)


def check_nothing_left(path: pathlib.Path, num_read: int, backbone: Any) -> None:
    """Raises `InputError` for weights without a variable, which Keras would ignore."""
    if num_read != len(backbone.weights):
        raise InputError(
            f"{path}: has {num_read} weights, but {CONFIG} needs {len(backbone.weights)}"
        )


def _read_h5(path: pathlib.Path, variables: list, read) -> None:
    for variable in variables:
        variable.assign(np.full(variable.shape, np.nan, np.float32))
    try:
        with warnings.catch_warnings():
            # If a file has no list of layers, Keras warns, leaves the layers unchanged, and often
            # finds them elsewhere. Layers that it does not find are still NaN.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            read(str(path))
    except Exception as error:  # a damaged file fails in too many ways to list
        raise InputError(
            f"{path}: damaged, or not the weights of the model in the JSON files: {reason(error)}"
        ) from None
    missing = [variable.path for variable in variables if np.isnan(variable.numpy()).all()]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}")
