"""Reading and writing of model directories in the supported formats.

A format is a module with `detect`, `load_config`, `load`, `has_tokenizer`, `load_tokenizer` and
`save`. This module contains the only list of formats. The format of a directory is detected once
per load: a `Preset` stores its format and config, and its tokenizer is loaded through the `Preset`.
"""

import dataclasses
import importlib
import os
import pathlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from kerasbert import files
from kerasbert.checkpoints import cards, hub
from kerasbert.checkpoints.cards import ModelCard
from kerasbert.checkpoints.preset import Preset, SavedWeights, check_finite
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError
from kerasbert.families import layout_of
from kerasbert.serving import exports
from kerasbert.text.tokenizer import Tokenizer

# The module of each format, in the order in which they are tried.
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


def _detected(directory: pathlib.Path) -> ModuleType | None:
    """Returns the module of a directory's format, or None."""
    _check_kinds(directory)
    return next((module for module in map(_module, FORMATS) if module.detect(directory)), None)


def _format_of(directory: pathlib.Path) -> ModuleType:
    if module := _detected(directory):
        return module
    if (directory / "model").is_dir():
        raise InputError(f"{directory}: is a run directory; its model is {directory / 'model'}")
    if why := exports.not_a_model(directory):
        raise InputError(f"{directory}: {why}")
    raise InputError(
        f"{directory}: contains no supported model: no config.json of kerasbert, Hugging Face or "
        "KerasHub, and no bert_config.json"
    )


def _check_kinds(directory: pathlib.Path) -> None:
    """Raises `InputError` for pipes and devices among a model's files, which may never end."""
    for folder, folders, names in os.walk(directory, followlinks=True):
        if len(pathlib.Path(folder).relative_to(directory).parts) == _DEPTH:
            folders.clear()
        for name in names:
            if name.endswith(_ENDINGS) or ".data-" in name:
                files.check_file(os.path.join(folder, name))


# The depth of a model's files (assets/tokenizer for KerasHub), and their extensions.
_DEPTH = 2
_ENDINGS = (".json", ".txt", ".model", ".spm", ".safetensors", ".bin", ".h5", ".index")


def load(name: str | os.PathLike[str] | Preset) -> Preset:
    """Loads a model in any format, with its weights, and checks that it is complete.

    Args:
        name: see `kerasbert.checkpoints.hub.fetch`; a `Preset` is returned unchanged.

    Returns:
        `Preset`.

    Raises:
        InputError: there is no such model, or a part of it is missing, damaged or not supported.

    Examples:
        `kerasbert.load` returns a model; this returns its config and its arrays.

        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=100)
        >>> backbone = kerasbert.Backbone(config)
        >>> names = backbone.save_to_preset("encoder")
        >>> preset = kerasbert.checkpoints.load("encoder")
        >>> preset.format, preset.weights["pooler/dense/kernel"].shape
        ('kerasbert', (128, 128))
    """
    if isinstance(name, Preset):
        return name
    directory = hub.fetch(name)
    return _format_of(directory).load(directory)


def load_tokenizer(name: str | os.PathLike[str] | Preset) -> Tokenizer:
    """Loads the tokenizer of a model in any format.

    Args:
        name: see `load`.

    Raises:
        InputError: there is no such model, or it has no tokenizer that is supported.

    Examples:
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> backbone = kerasbert.Backbone(config)
        >>> names = backbone.save_to_preset("encoder", tokenizer=tokenizer)
        >>> kerasbert.checkpoints.load_tokenizer("encoder")(["A fine day"]).to_list()
        [[5, 7, 8]]
    """
    module, directory, config = _without_weights(name)
    return module.load_tokenizer(directory, config)


def has_tokenizer(name: str | os.PathLike[str] | Preset) -> bool:
    """Returns whether a model has tokenizer files.

    Args:
        name: see `load`.

    Raises:
        InputError: there is no such model.

    Examples:
        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=100)
        >>> backbone = kerasbert.Backbone(config)
        >>> names = backbone.save_to_preset("encoder")
        >>> kerasbert.checkpoints.has_tokenizer("encoder")
        False
    """
    module, directory, config = _without_weights(name)
    return module.has_tokenizer(directory, config)


def _without_weights(name: str | os.PathLike | Preset) -> tuple[ModuleType, pathlib.Path, dict]:
    """Returns the module of a model's format, the model's directory and its config."""
    if isinstance(name, Preset):
        return _module(name.format), name.directory, name.config
    directory = hub.fetch(name, weights=False)
    module = _detected(directory)
    if module is None:  # an old config alone doesn't say what it is of
        directory = hub.fetch(name)
        module = _format_of(directory)
    return module, directory, module.load_config(directory)


def save(
    directory: str | os.PathLike[str],
    config: dict[str, Any],
    weights: Mapping[str, np.ndarray],
    tokenizer: Tokenizer | None = None,
    *,
    format: str = "kerasbert",
    card: str | None = None,
    overwrite: bool = False,
) -> SavedWeights:
    """Writes a model directory, atomically.

    Args:
        directory: path of the directory.
        config: dict, see `Preset`.
        weights: dict of arrays by the paths of Keras variables.
        tokenizer: `Tokenizer` to save with the model, or None.
        format: a key of `FORMATS`.
        card: the text of the model card; None: there is none. Directories of other formats than
            kerasbert's are known as kerasbert's by their card, so without one `overwrite` does not
            replace them.
        overwrite: whether to replace an existing model directory that kerasbert wrote, with nothing
            else in it. A card that a person has edited stays, unless `card` is a person's too.

    Returns:
        A dict from variable paths to the names of the weights in the file.

    Raises:
        InputError: the directory exists and must not be replaced, or can't be written, a weight is
            not finite, or the format does not support a part of the model.

    Examples:
        `Backbone.save_to_preset` and `Task.save_to_preset` use it. Here it converts a model without
        building it:

        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=100)
        >>> backbone = kerasbert.Backbone(config)
        >>> names = backbone.save_to_preset("encoder")
        >>> preset = kerasbert.checkpoints.load("encoder")
        >>> names = kerasbert.checkpoints.save(
        ...     "for_transformers", preset.config, preset.weights, format="hf"
        ... )
        >>> kerasbert.checkpoints.load("for_transformers").format
        'hf'
    """
    import safetensors

    from kerasbert.checkpoints import format_adapters, model_files

    module = _module(format)
    check_finite(directory, weights)
    # A config that was read from another library's files lacks what these imply.
    backbone = BackboneConfig.from_stored(config["backbone"], str(directory))
    config = {**config, "backbone": dataclasses.asdict(backbone)}
    if format != "kerasbert":
        # Their files hold float32, and safetensors writes the memory of an array in any order.
        weights = {path: np.ascontiguousarray(w, np.float32) for path, w in weights.items()}
        layout = layout_of(backbone.family, format)
        config, weights = format_adapters.adapt(config, weights, layout)
    with (
        files.new_directory(directory, overwrite=overwrite, check=check_replaceable) as temporary,
        files.writing(directory, safetensors.SafetensorError),
    ):
        names = module.save(temporary, config, weights, tokenizer)
        card = model_files.card_for(pathlib.Path(directory), card, format)
        if card is not None:
            cards.write(temporary, card if format == "kerasbert" else cards.with_mark(card))
        return SavedWeights(names, directory)


def check_replaceable(directory: pathlib.Path) -> None:
    """Raises `InputError` unless kerasbert wrote a model directory and all files in it."""
    files.check_own(directory, "a model", _files_written)


def _files_written(directory: pathlib.Path) -> set[pathlib.Path] | None:
    from kerasbert.checkpoints import model_files  # its modules are those of all formats

    try:
        module = _detected(directory)
    except InputError:
        return None
    if module is None:
        return None
    format = next(name for name in FORMATS if _module(name) is module)
    found = model_files.files_written(directory, format)
    generator = directory / model_files.GENERATOR
    if found is not None and files.is_directory(generator):
        found |= _files_written(generator) or set()
    return found


__all__ = [
    "FORMATS",
    "ModelCard",
    "Preset",
    "SavedWeights",
    "has_tokenizer",
    "load",
    "load_tokenizer",
    "save",
]
