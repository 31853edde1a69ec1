"""kerasbert's own format: JSON, safetensors and a vocabulary. It contains no code.

config.json         format, task, backbone, head, tokenizer, how training files were read, SHA-256
                    of the weights and of itself
model.safetensors   one tensor per Keras variable, under the variable's path
vocab.txt, ...      the tokenizer's files, if the model has one
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from kerasbert import files, schema
from kerasbert.checkpoints.preset import Preset
from kerasbert.checkpoints.safetensors_file import read_safetensors
from kerasbert.config import BackboneConfig
from kerasbert.data.options import DataFormat
from kerasbert.errors import InputError

FORMAT, VERSION, _WITHOUT_OWN_SHA256 = "kerasbert", 2, 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclasses.dataclass
class _Stored:
    """The schema of config.json."""

    format: str
    version: int
    task: str | None
    backbone: BackboneConfig
    weights_sha256: str
    sequence_length: int | None = None
    head: dict = dataclasses.field(default_factory=dict)
    tokenizer: dict | None = None
    data_format: DataFormat = dataclasses.field(default_factory=DataFormat)
    sha256: str | None = None
    uninitialized: list[str] = dataclasses.field(default_factory=list)


def detect(directory: pathlib.Path) -> bool:
    """Returns whether the directory has this format."""
    path = directory / CONFIG
    return path.exists() and files.read_json(path).get("format") == FORMAT


def load_config(directory: pathlib.Path) -> dict[str, Any]:
    """Reads the config, without the weights.

    Raises:
        InputError: the config has another version, is damaged, or has an invalid key or value.
    """
    path = directory / CONFIG
    config = files.read_json(path)
    if (version := config.get("version")) not in (VERSION, _WITHOUT_OWN_SHA256):
        raise InputError(
            f"{path}: has version {version!r}; this version of kerasbert reads {VERSION}"
        )
    if version == VERSION and config.get("sha256") != files.own_sha256(config):
        raise InputError(
            f"{path}: is damaged or was edited (its SHA-256 differs); to change a setting, pass it "
            "to from_preset and save the model again"
        )
    return schema.check(config, _Stored, path)


def load(directory: pathlib.Path) -> Preset:
    """Loads a model directory and checks that it is complete.

    Raises:
        InputError: a file is damaged or missing.
    """
    config = load_config(directory)
    weights = _read_weights(directory / WEIGHTS, config)
    names = {path: path for path in weights}
    return Preset(directory, str(directory), FORMAT, config, weights, names)


def _read_weights(path: pathlib.Path, config: Mapping) -> dict:
    if not path.exists():
        raise InputError(f"{path}: no such file; the model is incomplete")
    if files.sha256(path) != config.get("weights_sha256"):
        files.refuse_stand_in(path)
        raise InputError(f"{path}: is damaged or from another model (its SHA-256 differs)")
    return read_safetensors(path)


def has_tokenizer(directory: pathlib.Path, config: Mapping[str, Any]) -> bool:
    """Returns whether the model has a tokenizer."""
    return config.get("tokenizer") is not None


def load_tokenizer(directory: pathlib.Path, config: Mapping[str, Any]) -> Any:
    """Loads the tokenizer."""
    if config.get("tokenizer") is None:
        raise InputError(f"{directory}: the model was saved without a tokenizer")
    from kerasbert import text

    return text.load_tokenizer(directory, config["tokenizer"])


def save(
    directory: pathlib.Path, config: dict[str, Any], weights: Mapping[str, Any], tokenizer: Any
) -> dict[str, str]:
    """Writes the files; returns the names of all variables."""
    # safetensors writes the memory of an array, which has another order in a transposed view.
    arrays = {path: np.ascontiguousarray(array) for path, array in weights.items()}
    safetensors.numpy.save_file(arrays, directory / WEIGHTS)
    if tokenizer is not None:
        from kerasbert import text

        text.save_assets(tokenizer, directory)
    stored = {
        "format": FORMAT,
        "version": VERSION,
        **config,
        "tokenizer": None if tokenizer is None else tokenizer.get_config(),
        "weights_sha256": files.sha256(directory / WEIGHTS),
    }
    stored["sha256"] = files.own_sha256(stored)
    files.write_json(directory / CONFIG, stored)
    return {path: path for path in weights}
