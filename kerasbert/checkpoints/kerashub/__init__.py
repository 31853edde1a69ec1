"""KerasHub's preset directories, read and written with KerasHub itself.

Only the classes in a family's table are built, with the settings in the table: the JSON of a
directory does not determine what is imported. KerasHub takes seconds to import, so it is imported
in functions.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from kerasbert.checkpoints.kerashub.config import detect, load_config
from kerasbert.checkpoints.kerashub.names import ASSETS
from kerasbert.checkpoints.kerashub.reading import load
from kerasbert.checkpoints.kerashub.writing import save
from kerasbert.errors import InputError


def has_tokenizer(directory: pathlib.Path, config: Mapping[str, Any]) -> bool:
    """Returns whether the preset has a tokenizer."""
    return (directory / ASSETS).is_dir()


def load_tokenizer(directory: pathlib.Path, config: Mapping[str, Any]) -> Any:
    """Loads the tokenizer; see `kerasbert.checkpoints.kerashub.tokenizers`."""
    if not has_tokenizer(directory, config):
        raise InputError(f"{directory}: has no tokenizer ({ASSETS})")
    # Tokenizers need TensorFlow, models do not.
    from kerasbert.checkpoints.kerashub import tokenizers

    return tokenizers.load_tokenizer(directory, config)


__all__ = ["detect", "has_tokenizer", "load", "load_config", "load_tokenizer", "save"]
