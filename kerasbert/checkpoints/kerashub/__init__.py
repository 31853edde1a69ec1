"""KerasHub's preset directories, read and written by KerasHub itself.

Only classes that a family's table names are built, from the settings that it names: nothing in the
directory's JSON decides what is imported. KerasHub takes seconds to import, so functions do it.
"""

import pathlib
from collections.abc import Mapping

from kerasbert.checkpoints.kerashub.config import detect, load_config
from kerasbert.checkpoints.kerashub.names import ASSETS
from kerasbert.checkpoints.kerashub.reading import load
from kerasbert.checkpoints.kerashub.writing import save


def has_tokenizer(directory: pathlib.Path, config: Mapping) -> bool:
    """Whether there is one."""
    return (directory / ASSETS).is_dir()


def load_tokenizer(directory: pathlib.Path, config: Mapping):
    """The tokenizer of the directory's files; see `kerasbert.checkpoints.kerashub.tokenizers`."""
    # Tokenizers need TensorFlow, models don't.
    from kerasbert.checkpoints.kerashub import tokenizers

    return tokenizers.load_tokenizer(directory, config)


__all__ = ["detect", "has_tokenizer", "load", "load_config", "load_tokenizer", "save"]
