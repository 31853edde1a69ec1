"""Google's TensorFlow checkpoints: google-research (TF1) and encoders of tensorflow/models (TF2).

bert_config.json         settings (albert_config.json, electra_config.json)
vocab.txt or *.model     the tokenizer
NAME.index, NAME.data-*  the weights, with any NAME
"""

import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kerasbert import files
from kerasbert.checkpoints import sizes
from kerasbert.checkpoints.preset import Preset
from kerasbert.checkpoints.settings import (
    check_expressible,
    check_head,
    check_written_tokenizer,
    read_settings,
    write_settings,
)
from kerasbert.checkpoints.weights import (
    WeightNaming,
    check_extra,
    check_heads,
    parts,
    read_weights,
    weight_map,
    write_weights,
)
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError
from kerasbert.families import FAMILIES, Layout, families_by, layout_of, layouts_of
from kerasbert.lazy import tensorflow as tf

FORMAT, TF2 = "google", "tf2"
#: The name of the checkpoints that are written.
CHECKPOINT = "bert_model.ckpt"
_NAMINGS = {
    FORMAT: WeightNaming(parts("/", "kernel", "gamma", "beta", "")),
    TF2: WeightNaming(parts("/", "kernel", "gamma", "beta", "embeddings")),
}
# Variables of optimizers and of the training loop.
_IGNORED = (
    r"(/adam_[mv]|/AdamWeightDecayOptimizer(_1)?|/lamb_[mv]|/LAMBOptimizer(_1)?)$"
    r"|^(global_step|save_counter)(/|$)|^beta[12]_power$"
    r"|(^|/)optimizer/|/\.OPTIMIZER_SLOT/|^_CHECKPOINTABLE_OBJECT_GRAPH$"
)
_TF2_NAME = re.compile(r"^(?:.*/)?(layer_with_weights-\d+/.+)/\.ATTRIBUTES/VARIABLE_VALUE$")


def detect(directory: pathlib.Path) -> bool:
    """Returns whether the directory has this format, or a part of it."""
    names = families_by(FORMAT, "config_file")
    return any((directory / name).exists() for name in names) or any(directory.glob("*.index"))


def load_config(directory: pathlib.Path) -> dict[str, Any]:
    """Returns the part of the config that does not depend on the weights: the tokenizer."""
    _, family = _family(directory)
    return {"tokenizer": FAMILIES[family].tokenizer}


def _family(directory: pathlib.Path) -> tuple[pathlib.Path, str]:
    configs = families_by(FORMAT, "config_file")
    existing = [name for name in configs if (directory / name).exists()]
    if len(existing) != 1:
        hints = "".join(f"; {hint}" for x in layouts_of(FORMAT).values() if (hint := x.config_hint))
        raise InputError(
            f"{directory}: a TensorFlow checkpoint needs one of {', '.join(configs)}, "
            f"found {' and '.join(existing) or 'none'}{hints}"
        )
    return directory / existing[0], configs[existing[0]]


def load(directory: pathlib.Path) -> Preset:
    """Loads a model.

    Raises:
        InputError: there is no checkpoint or there are several, or a setting or weight is not
            supported.
    """
    path, family = _family(directory)
    theirs = files.read_json(path)
    source, stored, ignored = _read_checkpoint(directory)
    format = TF2 if any(_TF2_NAME.match(name) for name in stored) else FORMAT
    layout, naming = _layout(source, family, format), _NAMINGS[format]
    spelled = _short_names(source, stored) if format == TF2 else {name: name for name in stored}
    tensors = {name: stored[full] for name, full in spelled.items()}
    encoder_config = read_settings(layout.settings, theirs, layout.defaults, str(path))
    encoder_config = {"family": family, **encoder_config, **layout.constants}
    backbone = BackboneConfig.from_stored(encoder_config, str(path))
    sizes.check_layers(backbone, len(tensors), source)
    task, heads = _heads(source, layout, naming, backbone, tensors)
    mappings = [*weight_map(layout.encoder, naming, backbone, layout.prefix), *heads]
    check_heads(mappings, tensors, backbone.num_heads, source)
    weights, names, used = read_weights(mappings, tensors, naming)
    left = sorted(tensors.keys() - used)
    check_extra(source, [f"{spelled[name]} {tensors[name].shape}" for name in left])
    encoder_config["pooler"] = any(path.startswith("pooler/") for path in weights)
    config = {
        "task": task,
        "backbone": encoder_config,
        "head": _head(layout, task, weights),
        "tokenizer": FAMILIES[family].tokenizer,
    }
    names = {ours: spelled.get(name, name) for ours, name in names.items()}
    return Preset(directory, source, FORMAT, config, weights, names, tuple(ignored))


def _layout(source: str, family: str, format: str) -> Layout:
    layouts = layouts_of(format)
    if family not in layouts:
        known = " or ".join(map(str.upper, layouts))
        raise InputError(
            f"{source}: is a checkpoint of tensorflow/models, which is supported for {known} only; "
            f"the config is of the family {family!r}"
        )
    return layouts[family]


def _short_names(source: str, names: Iterable[str]) -> dict[str, str]:
    """Returns the full names of tensors in an object-based checkpoint, by the table's names."""
    spelled = {}
    for name in sorted(names):
        match = _TF2_NAME.match(name)
        short = match.group(1) if match else name
        if short in spelled:
            raise InputError(f"{source}: has both {spelled[short]} and {name}")
        spelled[short] = name
    return spelled


def _heads(source: str, layout: Layout, naming, backbone: BackboneConfig, tensors: Mapping):
    """Returns the first task with a complete head, and the weight map of the head."""
    partly = {}
    for task, rows in layout.heads.items():
        mappings = weight_map(rows, naming, backbone)
        missing = [link.theirs for link in mappings if link.theirs not in tensors]
        if not missing:
            return task, mappings
        if len(missing) < len(mappings):
            partly[task] = missing
    if partly:
        task = min(partly, key=lambda name: len(partly[name]))
        raise InputError(
            f"{source}: the head of {task} is incomplete; missing: {', '.join(partly[task])}"
        )
    return None, []


def _head(layout: Layout, task: str | None, weights: Mapping[str, np.ndarray]) -> dict:
    head = dict(layout.head_constants.get(task or "", {}))
    if task == "TextClassifier":
        head["classes"] = [str(i) for i in range(weights["classifier/bias"].size)]
    return head


def _read_checkpoint(directory: pathlib.Path) -> tuple[str, dict[str, np.ndarray], list[str]]:
    """Returns the path of the checkpoint, its tensors, and the names of ignored variables."""
    indexes = sorted(directory.glob("*.index"))
    if len(indexes) != 1:
        existing = ", ".join(path.name for path in indexes) or "none"
        raise InputError(f"{directory}: expected one checkpoint (NAME.index), found {existing}")
    source = str(indexes[0]).removesuffix(".index")
    patterns = (_IGNORED, *(layout.ignored for layout in layouts_of(FORMAT).values()))
    pattern = re.compile("|".join(filter(None, patterns)))
    with files.without_patterns(source) as prefix:
        try:
            reader = tf.train.load_checkpoint(prefix)
            shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
            ignored = [name for name in sorted(shapes) if pattern.search(name)]
            wanted = sorted(shapes.keys() - set(ignored))
            _check_tensors(source, {name: (shapes[name], types[name]) for name in wanted})
            tensors = {name: reader.get_tensor(name) for name in wanted}
        except InputError:
            raise
        except Exception as error:  # a damaged checkpoint fails in too many ways to list
            for path in (indexes[0], *sorted(directory.glob("*.data-*"))):
                files.refuse_stand_in(path)
            reason = " ".join(str(error).replace(prefix, source).split()) or type(error).__name__
            raise InputError(f"{source}: can't be read: {reason}") from None
    return source, tensors, ignored


def _check_tensors(source: str, tensors: Mapping[str, tuple[list[int], Any]]) -> None:
    """Raises `InputError` for types other than numbers, and for more data than the files have."""
    total = 0
    for name, (shape, dtype) in tensors.items():
        if not (dtype.is_floating or dtype.is_integer):
            raise InputError(f"{source}: {name} has the type {dtype.name}, expected numbers")
        total += math.prod(shape) * dtype.size
    data = pathlib.Path(source).parent.glob("*.data-*")
    sizes.check_total(total, sum(path.stat().st_size for path in data), source)


def has_tokenizer(directory: pathlib.Path, config: Mapping[str, Any]) -> bool:
    """Returns whether the directory has tokenizer files."""
    from kerasbert.checkpoints import tokenizer_files

    return tokenizer_files.exist(directory)


def load_tokenizer(directory: pathlib.Path, config: Mapping[str, Any]) -> Any:
    """Loads the tokenizer."""
    from kerasbert.checkpoints import tokenizer_files

    return tokenizer_files.load(directory, config["tokenizer"])


# === Writing ===


def save(
    directory: pathlib.Path, config: dict[str, Any], weights: Mapping[str, Any], tokenizer: Any
) -> dict[str, str]:
    """Writes a checkpoint for google-research/bert's programs (`--init_checkpoint`).

    Returns:
        Dict from variable paths to names in the checkpoint.

    Raises:
        InputError: the format does not support a part of the model.
    """
    backbone, task = BackboneConfig(**config["backbone"]), config["task"]
    layout, naming = layout_of(backbone.family, FORMAT), _NAMINGS[FORMAT]
    if task is not None and task not in layout.heads:
        raise InputError(
            f"format 'google' does not support {task} for the family {backbone.family!r}"
        )
    theirs = write_settings(layout.settings, dataclasses.asdict(backbone))
    check_expressible(layout, backbone, theirs, FORMAT)
    check_head(layout, backbone, task, config.get("head", {}))
    mappings = [
        *weight_map(layout.encoder, naming, backbone, layout.prefix),
        *weight_map(layout.heads.get(task or "", ()), naming, backbone),
    ]
    if left := sorted(weights.keys() - {link.ours for link in mappings}):
        raise InputError(f"format 'google' does not support the weights {', '.join(left)}")
    tensors = write_weights(mappings, weights, naming, backbone.num_heads)
    names = sorted(tensors)
    with files.writing(directory, tf.errors.OpError):
        tf.raw_ops.SaveV2(
            prefix=os.fsencode(directory / CHECKPOINT),  # a path need not be valid Unicode
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(tensors[name]) for name in names],
        )
    files.write_json(directory / str(layout.config_file), theirs)
    if tokenizer is not None:
        _save_tokenizer(directory, tokenizer, backbone.family)
    return {link.ours: link.theirs for link in reversed(mappings) if link.ours in weights}


def _save_tokenizer(directory: pathlib.Path, tokenizer, family: str) -> None:
    """Writes the vocabulary file, if it defines the tokenizer completely."""
    from kerasbert.checkpoints import tokenizer_files

    names = {"vocab.txt": "vocab.txt", "sentencepiece.model": "spiece.model"}
    assets = tokenizer.assets()
    if not assets.keys() <= names.keys():
        raise InputError(f"format 'google' does not support {type(tokenizer).__name__}")
    for name, data in assets.items():
        (directory / names[name]).write_bytes(data)
    written = tokenizer_files.load(directory, FAMILIES[family].tokenizer)
    check_written_tokenizer(tokenizer, written, FORMAT)
