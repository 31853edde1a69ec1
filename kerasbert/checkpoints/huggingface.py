"""Hugging Face transformers: config.json, weights in all of its formats, and tokenizer.

config.json   settings; bert_config.json for pytorch-pretrained-bert, until 2019
model.safetensors, pytorch_model.bin   the weights, in one file or in shards listed by *.index.json
tf_model.h5   the weights of a TensorFlow model
"""

import dataclasses
import pathlib
import re
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from kerasbert import files
from kerasbert.checkpoints import sentence_transformers, sizes
from kerasbert.checkpoints.huggingface_weights import WEIGHTS, has_weights, plain_tensors
from kerasbert.checkpoints.preset import Preset
from kerasbert.checkpoints.settings import (
    check_complete,
    check_expressible,
    check_head,
    check_only,
    read_settings,
    write_settings,
)
from kerasbert.checkpoints.weights import (
    WeightNaming,
    check_extra,
    parts,
    read_weights,
    weight_map,
    write_weights,
)
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError
from kerasbert.families import FAMILIES, Layout, families_by, layout_of, layouts_of

FORMAT = "hf"
CONFIG, OLD_CONFIG = "config.json", "bert_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
_NAMING = WeightNaming(parts(".", "weight", "weight", "bias", "weight"), transposed=True)
# Buffers that older versions stored; they are not trained.
_BUFFERS = re.compile(r"(^|\.)(position_ids|token_type_ids)$")


def detect(directory: pathlib.Path) -> bool:
    """Returns whether the directory has this format."""
    where = sentence_transformers.transformer(directory)
    path = _config_path(where)
    if path is None:
        return False
    theirs = files.read_json(path)
    old = not _WIDTHS.isdisjoint(theirs) and has_weights(where)
    return "model_type" in theirs or old


def _config_path(directory: pathlib.Path) -> pathlib.Path | None:
    if (directory / CONFIG).exists():
        return directory / CONFIG
    # Google's config has the same name, but its "gelu" is another function.
    google = any(directory.glob("*.index")) or not has_weights(directory)
    return None if google or not (directory / OLD_CONFIG).exists() else directory / OLD_CONFIG


# Keys that identify a config of transformers without model_type.
_WIDTHS = {"hidden_size", "dim"}


def load_config(directory: pathlib.Path) -> dict[str, Any]:
    """Reads the config, without the weights."""
    return _read_config(directory).config


class _Read(NamedTuple):
    """The result of reading everything but the weights.

    Attributes:
        config: dict, see `Preset`.
        layout: `Layout` of the family.
        task: string, the task of the class of transformers that wrote the weights, or None.
        head: dict, the arguments of the task.
    """

    config: dict
    layout: Layout
    task: str | None
    head: dict


def _read_config(directory: pathlib.Path) -> _Read:
    where = sentence_transformers.transformer(directory)
    path = _config_path(where)
    assert path is not None  # as `detect` found
    source, theirs = str(path), files.read_json(path)
    family, layout = _family(theirs, source, where)
    task = _task(theirs, layout)
    check_only({**layout.only, **layout.head_only.get(task or "", {})}, theirs, source)
    encoder_config = read_settings(layout.settings, theirs, layout.defaults, source)
    backbone = {"family": family, **encoder_config, **layout.constants}
    BackboneConfig.from_stored(backbone, source)  # checks the values used below
    settings = layout.head_settings.get(task or "", ())
    head = {
        **read_settings(settings, theirs, layout.defaults, source),
        **layout.head_constants.get(task or "", {}),
    }
    config = {"task": task, "backbone": backbone, "head": head}
    if length := _length(where, backbone["max_sequence_length"]):
        config["sequence_length"] = length
    if sentence_transformers.detect(directory):
        if sentence_transformers.embeds(directory):
            config |= {"task": "TextEmbedder", **sentence_transformers.read(directory)}
            if length := config.get("sequence_length"):  # may count unusable rows of the table
                config["sequence_length"] = min(length, backbone["max_sequence_length"])
        elif task == "TextClassifier":  # a cross-encoder
            head["pair"] = True
    return _Read({**config, "tokenizer": FAMILIES[family].tokenizer}, layout, task, head)


def _length(directory: pathlib.Path, most: int) -> int | None:
    """Returns the maximum length of the tokenizer, if it is less than the number of positions."""
    path = directory / TOKENIZER_CONFIG
    stored = files.read_json(path) if path.exists() else {}
    length = stored.get("model_max_length", stored.get("max_len"))  # "max_len" until 2020
    # If it was not set, it is an astronomical number.
    return length if type(length) is int and length < most else None


def _family(theirs: Mapping, source: str, directory: pathlib.Path) -> tuple[str, Layout]:
    known = families_by(FORMAT, "model_type")
    if "model_type" not in theirs:
        return _guessed_family(theirs, source, directory)
    if theirs["model_type"] not in list(known):
        raise InputError(
            f"{source}: model_type {theirs['model_type']!r} is not one of {', '.join(known)}"
        )
    family = known[theirs["model_type"]]
    return family, layout_of(family, FORMAT)


def _guessed_family(theirs: Mapping, source: str, directory: pathlib.Path) -> tuple[str, Layout]:
    """Returns the family of a config without model_type, from before 2020 or hand-written."""
    layouts = layouts_of(FORMAT)
    for name, layout in layouts.items():
        if _architecture(theirs) in layout.models.values():
            return name, layout
    # Without any of these keys it is none of the other families with a vocab.txt.
    assumed = {name: layout.assumed_unless for name, layout in layouts.items()}
    for name, others in assumed.items() if (directory / "vocab.txt").exists() else ():
        if others is not None and theirs.keys().isdisjoint(others):
            read_as = f"it is read as {name.upper()}'s"
            warnings.warn(f"{source}: lacks 'model_type'; {read_as}", stacklevel=2)
            return name, layouts[name]
    kinds = ", ".join(layout.model_type for layout in layouts.values())
    raise InputError(f"{source}: lacks 'model_type'; add it: one of {kinds}")


def _architecture(theirs: Mapping) -> str | None:
    """Returns the PyTorch class of transformers that wrote the model, or None."""
    architectures = theirs.get("architectures")
    if isinstance(architectures, list) and architectures and isinstance(architectures[0], str):
        return architectures[0].removeprefix("TF")
    return None


def _task(theirs: Mapping, layout: Layout) -> str | None:
    tasks = {name: task for task, name in layout.models.items()}
    return tasks.get(_architecture(theirs) or "")


def load(directory: pathlib.Path) -> Preset:
    """Loads a model.

    Raises:
        InputError: a setting or weight is not supported, or a file is damaged or missing.
    """
    config, layout, task, head = _read_config(directory)
    backbone = BackboneConfig(**config["backbone"])
    where = sentence_transformers.transformer(directory)
    tensors, source = plain_tensors(where, layout.prefix)
    sizes.check_layers(backbone, len(tensors), source)
    rows = (*layout.encoder, *layout.heads.get(task or "", ()))
    mappings = weight_map(rows, _NAMING, backbone)
    weights, names, used = read_weights(mappings, tensors, _NAMING)
    unused_weights = sorted(tensors.keys() - used)
    heads = tuple(row for name, rows in layout.heads.items() if name != task for row in rows)
    of_others = {link.theirs for link in weight_map(heads, _NAMING, backbone)}
    _check_left_over(source, unused_weights, tensors, task, layout, of_others)
    _tie(source, weights, head, names)
    config["backbone"]["pooler"] = any(path.startswith("pooler/") for path in weights)
    return Preset(
        directory,
        source,
        FORMAT,
        config,
        weights,
        names,
        tuple(unused_weights),
        tuple(_unread(directory)),
    )


def _unread(directory: pathlib.Path) -> list[str]:
    """Returns the names of settings besides the model's that kerasbert does not support."""
    path = sentence_transformers.transformer(directory) / TOKENIZER_CONFIG
    stored = files.read_json(path) if path.exists() else {}
    sides = ["padding_side"] if stored.get("padding_side", "right") != "right" else []
    return [*sides, *sentence_transformers.unsupported_settings(directory)]


def _check_left_over(source, unused_weights, tensors, task, layout, of_others) -> None:
    # If the config names no known task, weights outside of the encoder are ignored. Heads of other
    # tasks always are: google-bert/bert-base-uncased is a BertForMaskedLM with the weights of NSP.
    known = [row[2].split(".")[0] for row in layout.encoder]
    extra = [
        f"{name} {tensors[name].shape}"
        for name in unused_weights
        if not _BUFFERS.search(name)
        and name not in of_others
        and (task is not None or name.split(".")[0] in known)
    ]
    check_extra(source, extra)


def _tie(source: str, weights: dict, head: Mapping, names: Mapping) -> None:
    """Removes the file's copy of the token embeddings of a tied decoder."""
    table = weights.get("mlm_head/table")
    if table is None or not head.get("tied", True):
        return
    if not np.array_equal(table, weights["embeddings/token_embedding/embeddings"]):
        raise InputError(
            f"{source}: {names['mlm_head/table']} differs from the token embeddings, but they are "
            "tied in the config (tie_word_embeddings)"
        )
    del weights["mlm_head/table"]


def has_tokenizer(directory: pathlib.Path, config: Mapping[str, Any]) -> bool:
    """Returns whether the directory has tokenizer files."""
    from kerasbert.checkpoints import tokenizer_files

    return tokenizer_files.exist(sentence_transformers.transformer(directory))


def load_tokenizer(directory: pathlib.Path, config: Mapping[str, Any]) -> Any:
    """Loads the tokenizer."""
    from kerasbert.checkpoints import tokenizer_files

    where = sentence_transformers.transformer(directory)
    tokenizer = tokenizer_files.load(where, config["tokenizer"])
    if not sentence_transformers.lower_cases(directory):
        return tokenizer
    try:
        return _lower_casing(tokenizer)
    except InputError as error:
        raise InputError(f"{directory}: do_lower_case=true: {error}") from None


def _lower_casing(tokenizer):
    """Returns the tokenizer with lower-casing added; the handling of accents is unchanged."""
    from kerasbert import text

    config = tokenizer.get_config()
    if "lowercase" not in config:
        raise InputError(f"{type(tokenizer).__name__} does not support it")
    if config["lowercase"]:
        return tokenizer
    if config.get("strip_accents") is None:
        config["strip_accents"] = False
    return text.tokenizer_from_config({**config, "lowercase": True}, tokenizer.assets())


# === Writing ===


def save(
    directory: pathlib.Path, config: dict[str, Any], weights: Mapping[str, Any], tokenizer: Any
) -> dict[str, str]:
    """Writes a directory for transformers' `from_pretrained`.

    Returns:
        Dict from variable paths to names in the file.

    Raises:
        InputError: the format does not support a part of the model.
    """
    if config["task"] == "TextEmbedder":
        sentence_transformers.write(directory, config)
        config = {**config, "task": None, "head": {}}
    backbone, task = BackboneConfig(**config["backbone"]), config["task"]
    layout = layout_of(backbone.family, FORMAT)
    if task not in layout.models:
        raise InputError(f"format 'hf' does not support {task} for the family {backbone.family!r}")
    theirs = _written_config(layout, backbone, task, config.get("head", {}))
    rows = (*layout.encoder, *layout.heads.get(task or "", ()))
    kept = {
        path: array
        for path, array in weights.items()
        if not (task in layout.without_pooler and path.startswith("pooler/"))
    }
    mappings = weight_map(rows, _NAMING, backbone)
    encoder = {link.theirs for link in weight_map(layout.encoder, _NAMING, backbone)}
    prefix = layout.prefix if task else ""
    tensors = {
        (prefix + name if name in encoder else name): array
        for name, array in write_weights(mappings, kept, _NAMING, backbone.num_heads).items()
    }
    if left := sorted(kept.keys() - {link.ours for link in mappings}):
        raise InputError(f"transformers' {layout.models[task]} has no weights {', '.join(left)}")
    safetensors.numpy.save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
    files.write_json(directory / CONFIG, theirs)
    if tokenizer is not None:
        from kerasbert.checkpoints import tokenizer_files

        length = config.get("sequence_length") or backbone.max_sequence_length
        tokenizer_files.save(directory, tokenizer, length)
    return {link.ours: link.theirs for link in reversed(mappings) if link.ours in kept}


def _written_config(layout: Layout, backbone: BackboneConfig, task, head: Mapping) -> dict:
    theirs = {
        "architectures": [layout.models[task]],
        "model_type": layout.model_type,
        **layout.defaults,
        **write_settings(layout.settings, dataclasses.asdict(backbone)),
        "dtype": "float32",
    }
    check_complete(layout, theirs, "transformers")
    check_expressible(layout, backbone, theirs, FORMAT)
    settings = layout.head_settings.get(task or "", ())
    theirs |= write_settings(settings, _with_rates(head, settings, layout, backbone))
    if "id2label" in theirs:
        theirs["label2id"] = {name: int(i) for i, name in theirs["id2label"].items()}
    check_head(layout, backbone, task, head)
    return theirs


def _with_rates(head: Mapping, settings, layout: Layout, backbone: BackboneConfig) -> dict:
    """Returns the head's config, with a dropout of None as a number where the format needs one."""
    stored = {row[1] for row in settings if row[0] == "dropout"}
    wants_number = any(layout.defaults.get(key) is not None for key in stored)
    rate = head.get("dropout")
    return {**head, "dropout": backbone.dropout} if wants_number and rate is None else dict(head)
