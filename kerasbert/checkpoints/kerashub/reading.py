"""Loading of KerasHub presets."""

import pathlib

from kerasbert.checkpoints.kerashub.config import read_config
from kerasbert.checkpoints.kerashub.models import build
from kerasbert.checkpoints.kerashub.names import CONFIG, FORMAT, NAMING
from kerasbert.checkpoints.kerashub.weights import (
    check_nothing_left,
    check_sizes,
    load_weights,
    shapes_of,
    weights_path,
)
from kerasbert.checkpoints.preset import Preset
from kerasbert.checkpoints.weights import read_weights, weight_map
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError


def load(directory: pathlib.Path) -> Preset:
    """Loads a model.

    Raises:
        InputError: a class is not supported, or weights are damaged or missing.
    """
    config, layout = read_config(directory)
    path = weights_path(directory)
    shapes = shapes_of(path)
    check_sizes(directory, path, shapes, config)
    model = build(layout, config, str(directory / CONFIG))
    load_weights(directory, path, model, config["task"])
    check_nothing_left(path, len(shapes), model if config["task"] is None else model.backbone)
    source = str(path)
    tensors = {variable.path: variable.numpy() for variable in model.weights}
    rows = (*layout.encoder, *layout.heads.get(config["task"] or "", ()))
    mappings = weight_map(rows, NAMING, BackboneConfig(**config["backbone"]))
    weights, names, used = read_weights(mappings, tensors, NAMING)
    if extra := sorted(tensors.keys() - used):
        raise InputError(f"{source}: {len(extra)} weights are not supported: {extra}")
    config["backbone"]["pooler"] = any(path.startswith("pooler/") for path in weights)
    return Preset(directory, source, FORMAT, config, weights, names)
