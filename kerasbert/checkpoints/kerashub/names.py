"""What KerasHub calls the files of a preset directory."""

import pathlib

from kerasbert.checkpoints.weights import WeightNaming, parts

FORMAT = "kerashub"
CONFIG, WEIGHTS, SHARDS = "config.json", "model.weights.h5", "model.weights.json"
TASK, TASK_WEIGHTS = "task.json", "task.weights.h5"
PREPROCESSOR = "preprocessor.json"
TOKENIZER, ASSETS = "tokenizer.json", pathlib.Path("assets") / "tokenizer"
NAMING = WeightNaming(parts("/", "kernel", "gamma", "beta", "embeddings"), split_heads=True)

#: What KerasHub and the HDF5 library raise for files and settings that are not right.
ERRORS = (ValueError, TypeError, KeyError, OSError, RuntimeError)


def reason(error: Exception) -> str:
    """What an error says, in one line."""
    words = " ".join(str(error).split()).partition(" List of objects that")[0]
    return words[:300] or type(error).__name__
