"""Models on disk <-> config, named weights and tokenizer, in everybody's formats.

A format is a module with `detect`, `load_config`, `load`, `has_tokenizer`, `load_tokenizer` and
`save`; they are listed here and nowhere else. What format a directory has is found out once: a
`Preset` knows it, and its config, so its tokenizer is asked for by the `Preset`.
"""

import importlib
import os
import pathlib
from collections.abc import Mapping
from types import ModuleType

import numpy as np

from kerasbert import files
from kerasbert.checkpoints import hub
from kerasbert.checkpoints.preset import Preset, check_finite
from kerasbert.errors import InputError
from kerasbert.families import layout_of

# The module of each format, in the order in which a directory is tried.
FORMATS = {
    "kerasbert": "native",
    "hf": "huggingface",
    "kerashub": "kerashub",
    "google": "google",
}


def _module(format: str) -> ModuleType:
    if format not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, found {format!r}")
    return importlib.import_module(f"kerasbert.checkpoints.{FORMATS[format]}")


def _format_of(directory: pathlib.Path) -> ModuleType:
    _check_kinds(directory)
    for format in FORMATS:
        if _module(format).detect(directory):
            return _module(format)
    if (directory / "model").is_dir():
        raise InputError(f"{directory}: is a run; its model is {directory / 'model'}")
    raise InputError(
        f"{directory}: holds no model that kerasbert knows: no config.json of kerasbert, Hugging "
        "Face or KerasHub, and no bert_config.json"
    )


def _check_kinds(directory: pathlib.Path) -> None:
    """Raises `InputError` for a pipe or a device among the files of a model: it may never end."""
    for folder, folders, names in os.walk(directory, followlinks=True):
        if len(pathlib.Path(folder).relative_to(directory).parts) == _DEPTH:
            folders.clear()
        for name in names:
            if name.endswith(_ENDINGS) or ".data-" in name:
                files.check_file(os.path.join(folder, name))


# How deep the files of models are (KerasHub's are in assets/tokenizer), and how their names end.
_DEPTH = 2
_ENDINGS = (".json", ".txt", ".model", ".spm", ".safetensors", ".bin", ".h5", ".index")


def load(name: str | os.PathLike | Preset) -> Preset:
    """Reads a model in any format, with its weights; checks that it is whole.

    Args:
        name: as in `kerasbert.checkpoints.hub.fetch`; or what has been read already.

    Raises:
        InputError: there is no such model, or something in it is missing, damaged or unknown.
    """
    if isinstance(name, Preset):
        return name
    directory = hub.fetch(name)
    return _format_of(directory).load(directory)


def load_tokenizer(name: str | os.PathLike | Preset):
    """Reads the tokenizer of a model in any format.

    Args:
        name: as in `load`.

    Raises:
        InputError: there is no such model, or it has no tokenizer that kerasbert can follow.
    """
    module, directory, config = _without_weights(name)
    return module.load_tokenizer(directory, config)


def has_tokenizer(name: str | os.PathLike | Preset) -> bool:
    """Whether a model has files of a tokenizer.

    Args:
        name: as in `load`.
    """
    module, directory, config = _without_weights(name)
    return module.has_tokenizer(directory, config)


def _without_weights(name: str | os.PathLike | Preset) -> tuple[ModuleType, pathlib.Path, dict]:
    """The module of a model's format, where the model is, and its config."""
    if isinstance(name, Preset):
        return _module(name.format), name.directory, name.config
    directory = hub.fetch(name)
    module = _format_of(directory)
    return module, directory, module.load_config(directory)


def save(
    directory: str | os.PathLike,
    config: dict,
    weights: Mapping[str, np.ndarray],
    tokenizer=None,
    *,
    format: str = "kerasbert",
) -> dict[str, str]:
    """Writes a model directory: it appears whole, or not at all.

    Args:
        directory: must not exist yet.
        config: as in `Preset`.
        weights: arrays by the paths of Keras variables.
        tokenizer: its files are written too.
        format: a name in `FORMATS`.

    Returns:
        What the file calls each weight, by path.

    Raises:
        InputError: the directory exists already or can't be written, a weight is not finite, or the
            format has no place for something that the model has.
    """
    import safetensors

    from kerasbert.checkpoints import format_adapters

    module = _module(format)
    check_finite(directory, weights)
    if format != "kerasbert":
        layout = layout_of(config["backbone"]["family"], format)
        config, weights = format_adapters.adapt(config, weights, layout)
    with (
        files.new_directory(directory) as temporary,
        files.writing(directory, safetensors.SafetensorError),
    ):
        return module.save(temporary, config, weights, tokenizer)


__all__ = [
    "FORMATS",
    "Preset",
    "has_tokenizer",
    "load",
    "load_tokenizer",
    "save",
]
