"""The file names and the weight naming of KerasHub presets."""

import pathlib

from kerasbert.checkpoints.weights import WeightNaming, parts

FORMAT = "kerashub"
CONFIG, WEIGHTS, SHARDS = "config.json", "model.weights.h5", "model.weights.json"
TASK, TASK_WEIGHTS = "task.json", "task.weights.h5"
PREPROCESSOR = "preprocessor.json"
TOKENIZER, ASSETS = "tokenizer.json", pathlib.Path("assets") / "tokenizer"
NAMING = WeightNaming(parts("/", "kernel", "gamma", "beta", "embeddings"), split_heads=True)

#: The exceptions that KerasHub and the HDF5 library raise for invalid files and settings.
ERRORS = (ValueError, TypeError, KeyError, OSError, RuntimeError)


def reason(error: Exception) -> str:
    """Returns the message of an error in one line."""
    words = " ".join(str(error).split()).partition(" List of objects that")[0]
    return words[:300] or type(error).__name__
