"""Writing of KerasHub presets, with KerasHub itself."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from kerasbert import files
from kerasbert.checkpoints.kerashub.config import load_config
from kerasbert.checkpoints.kerashub.models import build
from kerasbert.checkpoints.kerashub.names import FORMAT, NAMING
from kerasbert.checkpoints.settings import (
    check_complete,
    check_expressible,
    check_head,
    check_written_tokenizer,
    write_settings,
)
from kerasbert.checkpoints.weights import weight_map, write_weights
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError
from kerasbert.families import FAMILIES, Layout, layout_of

_MOST_AROUND_TENSOR = 16 << 10  # bytes of overhead per tensor in HDF5


def save(
    directory: pathlib.Path, config: dict[str, Any], weights: Mapping[str, Any], tokenizer: Any
) -> dict[str, str]:
    """Writes a preset for KerasHub's `from_preset`.

    KerasHub stores the number of a classifier's classes, not their names.

    Returns:
        Dict from variable paths to names in KerasHub's model.

    Raises:
        InputError: the format does not support a part of the model.
    """
    encoder_config, task = BackboneConfig(**config["backbone"]), config["task"]
    layout = layout_of(encoder_config.family, FORMAT)
    _check_config(layout, encoder_config, task, config.get("head", {}))
    if task in layout.without_pooler:
        weights = {path: a for path, a in weights.items() if not path.startswith("pooler/")}
    rows = (*layout.encoder, *layout.heads.get(task or "", ()))
    mappings = weight_map(rows, NAMING, encoder_config)
    _check_weights(layout.models[task], weights, {link.ours for link in mappings})

    preprocessor = None
    if tokenizer is not None:
        # Tokenizers need TensorFlow, models do not.
        from kerasbert.checkpoints.kerashub import tokenizers

        kind = FAMILIES[encoder_config.family].tokenizer["kind"]
        theirs = tokenizers.their_tokenizer(layout, kind, tokenizer)
        preprocessor = _preprocessor(layout, config, theirs)
    model = build(layout, config, layout.models[task], preprocessor)
    tensors = write_weights(mappings, weights, NAMING, encoder_config.num_heads)
    for variable in model.weights:
        variable.assign(tensors[variable.path])
    # If the disk becomes full, HDF5 can crash the process.
    size = sum(tensor.nbytes + _MOST_AROUND_TENSOR for tensor in tensors.values())
    files.reserve(directory, size)
    model.save_to_preset(str(directory))
    if tokenizer is not None:
        if preprocessor is None:
            theirs.save_to_preset(str(directory))
        written = tokenizers.load_tokenizer(directory, load_config(directory))
        check_written_tokenizer(tokenizer, written, FORMAT)
    return {link.ours: link.theirs for link in mappings if link.ours in weights}


def _check_config(
    layout: Layout, encoder_config: BackboneConfig, task: str | None, head: Mapping
) -> None:
    if task not in layout.models:
        raise InputError(
            f"format {FORMAT!r} does not support {task} for the family "
            f"{encoder_config.family!r}; save as 'kerasbert'"
        )
    theirs = write_settings(layout.settings, dataclasses.asdict(encoder_config))
    check_complete(layout, theirs, "KerasHub")
    check_expressible(layout, encoder_config, theirs, FORMAT)
    check_head(layout, encoder_config, task, head)


def _check_weights(name: str, weights: Mapping, wanted: set[str]) -> None:
    if left := sorted(weights.keys() - wanted):
        hint = "load the model with pooler=False to drop it, or save as 'kerasbert'"
        if not left[0].startswith("pooler/"):
            hint = "save as 'kerasbert'"
        raise InputError(f"KerasHub's {name} has no weights {', '.join(left)}; {hint}")
    if missing := sorted(wanted - weights.keys()):
        hint = "from_preset(..., backbone={'pooler': True}) of a task adds a new one"
        if not missing[0].startswith("pooler/"):
            hint = "save as 'kerasbert'"
        raise InputError(
            f"KerasHub's {name} needs {', '.join(missing)}; this model has none; {hint}"
        )


def _preprocessor(layout: Layout, config: Mapping, tokenizer):
    """Returns the preprocessor of KerasHub's task; None for an encoder alone."""
    import keras_hub

    task = config["task"]
    if task is None:
        return None
    length = config.get("sequence_length") or config["backbone"]["max_sequence_length"]
    settings = {"sequence_length": length}
    if task == "MaskedLM":
        rate = config.get("head", {}).get("mask_rate", 0.15)
        most = max(1, math.ceil(rate * length))
        settings |= {"mask_selection_rate": rate, "mask_selection_length": most}
    make = getattr(keras_hub.models, f"{layout.models[task]}Preprocessor")
    return make(tokenizer, **settings)
