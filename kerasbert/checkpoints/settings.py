"""Conversion of settings between a format and kerasbert, by the tables of `kerasbert.families`."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

from kerasbert import schema
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError
from kerasbert.families import Layout
from kerasbert.families.codecs import AS_IS, LABELS
from kerasbert.families.layout import Settings


def read_settings(
    settings: Settings, config: Mapping[str, Any], defaults: Mapping[str, Any], source: str
) -> dict[str, Any]:
    """Converts settings of a format to ours.

    Args:
        settings: the table of a family.
        config: dict, the format's config.
        defaults: dict of the values of missing keys.
        source: string, the file in messages.

    Returns:
        Dict of arguments of `BackboneConfig` or of a task.

    Raises:
        InputError: a key is missing, or its value is not supported.
    """
    config = {**defaults, **config}
    encoder_config = {}
    for ours, theirs, *codec in settings:
        (codec,) = codec or (AS_IS,)
        if theirs not in config and not codec.reads_missing:
            if ours in _REQUIRED:
                raise InputError(f"{source}: lacks {theirs!r}")
            continue
        try:
            encoder_config[ours] = codec.read(config.get(theirs), config)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise InputError(f"{source}: {theirs}={config.get(theirs)!r}: {error}") from None
        schema.check(encoder_config[ours], _KINDS.get(ours, Any), source, theirs)
    return encoder_config


# The types of our settings that no other check reports with the format's key. A head's dropout can
# be null.
_KINDS = {"dropout": schema.Rate | None, "attention_dropout": schema.Rate, "tied": bool}
_REQUIRED = ("vocabulary_size", "num_layers", "hidden_dim", "num_heads", "intermediate_dim")


def write_settings(settings: Settings, encoder_config: Mapping[str, Any]) -> dict[str, Any]:
    """Converts our settings to those of a format; the inverse of `read_settings`."""
    config = {}
    for ours, theirs, *codec in settings:
        if ours in encoder_config:
            (codec,) = codec or (AS_IS,)
            config[theirs] = codec.write(encoder_config[ours], encoder_config)
    return config


def check_only(only: Mapping[str, Any], config: Mapping[str, Any], source: str) -> None:
    """Raises `InputError` for a setting with another value than the only one that is supported."""
    for key, value in only.items():
        if config.get(key, value) != value:
            raise InputError(f"{source}: {key}={config[key]!r}; only {value!r} is supported")


def check_complete(layout: Layout, written: Mapping[str, Any], library: str) -> None:
    """Raises `InputError` if the library needs a setting that a model does not have.

    Args:
        layout: the layout of the library's format.
        written: the settings in this layout.
        library: name of the library, for the message.
    """
    for _, name, *_ in layout.settings:
        if written[name] is None:  # an ALBERT without an embedding projection
            raise InputError(
                f"{layout.models[None]} of {library} needs {name}; this model has none; save as "
                "'kerasbert'"
            )


def check_expressible(
    layout: Layout, config: BackboneConfig, written: Mapping[str, Any], format: str
) -> None:
    """Raises `InputError` if reading `written` would give another config than `config`.

    Warns if the task type is lost.
    """
    read = read_settings(layout.settings, written, layout.defaults, format)
    back = BackboneConfig(**{"family": config.family, **read, **layout.constants})
    for field in dataclasses.fields(config):
        ours, theirs = getattr(config, field.name), getattr(back, field.name)
        if field.name == "padding_id" and config.positions != "learned_offset":
            continue  # the tokenizer stores it
        if field.name not in _NOT_COMPARED and ours != theirs:
            raise InputError(
                f"format {format!r} does not support {field.name}={ours!r} for the family "
                f"{config.family!r} (it implies {theirs!r}); save as 'kerasbert'"
            )
    if config.num_task_types and config.task_type:
        warnings.warn(
            f"the format does not store task_type={config.task_type}; loaded again, it is 0 unless "
            "it is given again",
            stacklevel=2,
        )


# Not compared: determined by the weights, chosen by the caller, or for new weights only.
_NOT_COMPARED = ("pooler", "return_hidden_states", "task_type", "initializer_range")


def effective_config(tokenizer: Any) -> dict[str, Any]:
    """Returns a tokenizer's config, with None replaced by the default that it stands for."""
    config = tokenizer.get_config()
    if config.get("strip_accents", False) is None:
        config["strip_accents"] = config["lowercase"]
    return config


def check_written_tokenizer(tokenizer: Any, written: Any, format: str) -> None:
    """Raises `InputError` if `written`, as read from the files of `tokenizer`, differs from it."""
    ours, theirs = effective_config(tokenizer), effective_config(written)
    for name, value in ours.items():
        if value != theirs.get(name):
            raise InputError(
                f"format {format!r} does not support the tokenizer's {name}={value!r} (it implies "
                f"{theirs.get(name)!r}); save as 'kerasbert'"
            )


def check_head(
    layout: Layout, backbone: BackboneConfig, task: Any, head: Mapping[str, Any]
) -> None:
    """Raises `InputError` for a setting of the head that the format can't store.

    Warns if the names of classes, or the dropout of the head, are lost.
    """
    implied = {
        "activation": backbone.activation,
        "layer_norm_epsilon": backbone.layer_norm_epsilon,
        "objective": "nsp",
        "problem_type": "single_label_classification",
        "threshold": 0.5,
        "long_text": None,
    }
    settings = layout.head_settings.get(task, ())
    known = {row[0] for row in settings}
    constants = dict(layout.head_constants.get(task, {}))
    rate = constants.pop("dropout", backbone.dropout)
    ours = backbone.dropout if head.get("dropout") is None else head["dropout"]
    if "dropout" in head and "dropout" not in known and ours != rate:
        warnings.warn(
            f"the format does not store dropout={ours!r} in the head of {task}; loaded again, it "
            f"trains with {rate!r}",
            stacklevel=2,
        )
    for name, value in {**implied, **constants}.items():
        if name in known:
            continue
        ours = head.get(name)
        if ours is None:
            ours = implied.get(name, value)
        if name in head and ours != value:
            raise InputError(
                f"the format does not support {name}={ours!r} in the head of {task} "
                f"(it implies {value!r}); save as 'kerasbert'"
            )
    classes = head.get("classes", ())
    if not any(LABELS in row for row in settings) and any(
        name != str(index) for index, name in enumerate(classes)
    ):
        warnings.warn(
            f"the format stores the number of classes, not their names {', '.join(classes)}",
            stacklevel=2,
        )
