"""kerasbert's own directory: JSON, safetensors, a vocabulary. Nothing in it is code.

config.json         format, task, backbone, tokenizer, SHA-256 of the weights
model.safetensors   one tensor a Keras variable, under the variable's path
vocab.txt           if the model has a tokenizer
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable

import safetensors
import safetensors.numpy

from kerasbert import families, files
from kerasbert.errors import InputError

FORMAT, VERSION = "kerasbert", 1
CONFIG, WEIGHTS, VOCABULARY = "config.json", "model.safetensors", "vocab.txt"


@dataclasses.dataclass(frozen=True)
class Preset:
    """A model directory that has been read and checked, but is no model yet.

    Attributes:
        source: the directory, for messages.
        config: `task` (a task's name or None), `backbone` (facts), `tokenizer` (or None), and
            what the task added.
        weights: arrays by variable path.
    """

    source: str
    config: dict
    weights: dict

    @property
    def vocabulary_path(self) -> pathlib.Path:
        """The vocabulary file."""
        return pathlib.Path(self.source) / VOCABULARY

    def assign(self, variables: Iterable) -> None:
        """Puts the stored arrays into Keras variables with the same paths.

        Stored weights that no variable asks for (another task's head) are left alone.

        Raises:
            InputError: a variable is not there or has another shape; nothing is assigned then.
        """
        variables = list(variables)
        problems = [
            f"{v.path} {tuple(v.shape)}: {_found(self.weights.get(v.path))}"
            for v in variables
            if v.path not in self.weights or self.weights[v.path].shape != tuple(v.shape)
        ]
        if problems:
            shown = "; ".join(problems[:8]) + (" ..." if len(problems) > 8 else "")
            raise InputError(
                f"{self.source}: {len(problems)} of {len(variables)} weights don't fit: {shown}"
            )
        for variable in variables:
            variable.assign(self.weights[variable.path])


def _found(array) -> str:
    return "not in the file" if array is None else f"the file has {array.shape}"


def save(directory: str | os.PathLike, config: dict, variables: Iterable, tokenizer=None) -> None:
    """Writes a model directory: it appears whole, or not at all.

    Args:
        directory: must not exist yet.
        config: what to store beside format and tokenizer; JSON types.
        variables: Keras variables with distinct paths.
        tokenizer: its config and vocabulary are stored too.

    Raises:
        InputError: the directory exists already or can't be written.
    """
    arrays = {variable.path: variable.numpy() for variable in variables}
    with files.new_directory(directory) as temporary:
        safetensors.numpy.save_file(arrays, temporary / WEIGHTS)
        if tokenizer is not None:
            from kerasbert.text import save_assets

            save_assets(tokenizer, temporary)
        stored = {
            "format": FORMAT,
            "version": VERSION,
            **config,
            "tokenizer": None if tokenizer is None else tokenizer.get_config(),
            "weights_sha256": files.sha256(temporary / WEIGHTS),
        }
        files.write_json(temporary / CONFIG, stored)


def load_config(directory: str | os.PathLike) -> dict:
    """Reads the config of a model directory without its weights.

    Raises:
        InputError: no such directory, or one of another format.
    """
    if str(directory) in families.PRESETS:
        raise InputError(
            f"{directory!r} names an architecture, which has no weights to load; "
            f"Backbone(BackboneConfig.from_preset({str(directory)!r})) builds it"
        )
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory}: no such model directory")
    path = directory / CONFIG
    config = files.read_json(path)
    if config.get("format") != FORMAT:
        raise InputError(f"{path}: is not a kerasbert model (no format={FORMAT!r})")
    if config.get("version") != VERSION:
        raise InputError(
            f"{path}: is of version {config.get('version')!r}; this kerasbert reads {VERSION}"
        )
    return config


def load(directory: str | os.PathLike) -> Preset:
    """Reads a model directory and checks that it is whole.

    Raises:
        InputError: no such directory, another format, a damaged or missing file.
    """
    config = load_config(directory)
    return Preset(str(directory), config, _read_weights(pathlib.Path(directory) / WEIGHTS, config))


def _read_weights(path: pathlib.Path, config: dict) -> dict:
    if not path.exists():
        raise InputError(f"{path}: no such file; the model is incomplete")
    if files.sha256(path) != config.get("weights_sha256"):
        raise InputError(f"{path}: is damaged or from another model (its SHA-256 differs)")
    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from None
