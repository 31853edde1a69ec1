"""Exports as directories: which of them is one, and which may be replaced."""

import pathlib
from collections.abc import Mapping
from typing import Any

from kerasbert import files
from kerasbert.errors import InputError
from kerasbert.serving import runtimes
from kerasbert.serving.client import METADATA
from kerasbert.serving.formats import FORMATS, OPENVINO, SAVED_MODEL
from kerasbert.serving.signatures import GRAPH

FINGERPRINT = "fingerprint.pb"
#: Of other formats; `encode.py`, which imports nothing of kerasbert, spells the first two itself.
SETTINGS, ENCODER, CODE = "export.json", "encoder.json", "encode.py"
#: What a kit adds to a SavedModel: where TensorFlow Serving looks for warm-up requests, and how it
#: is to batch.
WARM_UP, BATCHING = METADATA.with_name("tf_serving_warmup_requests"), "batching_params.pbtxt"


def format_of(directory: pathlib.Path) -> str | None:
    """Returns the format of a directory that `Task.export` wrote; None: it is none."""
    if files.exists(directory / GRAPH):
        return SAVED_MODEL if files.exists(directory / METADATA) else None
    if not files.exists(directory / SETTINGS):
        return None
    try:
        format = files.read_json(directory / SETTINGS).get("format")
    except InputError:
        return None
    return format if format in FORMATS else None


def not_a_model(directory: pathlib.Path) -> str | None:
    """Returns what to do with an export in place of a model; None: the directory is none.

    Args:
        directory: a directory without a model: perhaps an export, a folder of its versions, or a
            SavedModel of another program.
    """
    if format := format_of(directory):
        if format == SAVED_MODEL:
            return f"is an exported SavedModel, {_ASKED.format(directory)}; {_TRAINED}"
        return (
            f"is an export, {runtimes.FILES[format]}, which kerasbert.serving.Encoder prepares "
            f"text for; {_TRAINED}"
        )
    if files.exists(directory / GRAPH):
        return (
            "is a SavedModel that kerasbert did not write: a graph, without the settings of the "
            "model; load the checkpoint that it was made from"
        )
    versions = (child for child in directory.iterdir() if child.name.isdecimal())
    if any(format_of(version) == SAVED_MODEL for version in versions):
        return f"holds versions of an exported SavedModel, {_ASKED.format(directory)}; {_TRAINED}"
    return None


_ASKED = "which kerasbert.serving.SavedModelClient or kerasbert query --saved_model {} asks"
_TRAINED = (
    "from_preset loads the model that it was exported from, a directory of save_to_preset or "
    "RUN/model"
)


def reads_windows(metadata: Mapping[str, Any]) -> bool:
    """Returns whether a SavedModel cuts long texts into windows or chunks, and reads all of them.

    Args:
        metadata: the export's metadata.
    """
    return metadata["task"] in _WITH_WINDOWS or bool(metadata.get("long_text"))


_WITH_WINDOWS = ("QuestionAnswerer", "TokenClassifier")


# === Replacing ===

# The files that `Task.export` and the kit write.
_WRITTEN = {
    SAVED_MODEL: (
        GRAPH,
        FINGERPRINT,
        "variables/variables.*",
        "assets/*",
        str(METADATA),
        str(WARM_UP),
        BATCHING,
    ),
    OPENVINO: ("model.xml", "model.bin"),
}


def check_replaceable(directory: pathlib.Path) -> None:
    """Raises `InputError` unless a directory is an export with nothing else in it."""
    files.check_own(directory, "an export", files_written)


def files_written(directory: pathlib.Path) -> set[pathlib.Path] | None:
    """Returns the files that `Task.export` wrote to a directory; None: it is no export."""
    format = format_of(directory)
    if format is None:
        return None
    patterns = _WRITTEN.get(format) or (runtimes.FILES[format],)
    if format != SAVED_MODEL:
        from kerasbert.text import encoder_files  # it imports all tokenizers

        of_tokenizer = (encoder_files.TOKENIZERS_FILE, encoder_files.MODEL_FILE)
        patterns = (*patterns, SETTINGS, ENCODER, CODE, *of_tokenizer)
    return {path for pattern in patterns for path in directory.glob(pattern)}
