"""The JSON files of a KerasHub preset, converted to our config."""

import pathlib
import re
from collections.abc import Mapping
from typing import Any, TypedDict

from kerasbert import files, schema
from kerasbert.checkpoints import settings as tables
from kerasbert.checkpoints.kerashub.names import CONFIG, FORMAT, PREPROCESSOR, TASK
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError
from kerasbert.families import FAMILIES, Layout, families_by, layout_of

# Before 2024 (keras_nlp) a BertTextClassifier was called BertClassifier.
_OLD_CLASSIFIER = re.compile("(?<!Text)Classifier$")


# Schemas of the keys that are read, besides those in the tables of families.
class _Object(TypedDict):
    class_name: str
    config: dict


class _Task(TypedDict, total=False):
    activation: str | dict | None
    hidden_dim: int | None


class _Preprocessor(TypedDict, total=False):
    sequence_length: int | None
    mask_selection_rate: float | None


def detect(directory: pathlib.Path) -> bool:
    """Returns whether the directory has this format."""
    path = directory / CONFIG
    return path.exists() and {"class_name", "config"} <= files.read_json(path).keys()


def load_config(directory: pathlib.Path) -> dict[str, Any]:
    """Reads the config, without the weights.

    Raises:
        InputError: a class or setting is not supported, or a setting is missing.
    """
    return read_config(directory)[0]


def read_config(directory: pathlib.Path) -> tuple[dict[str, Any], Layout]:
    """Does what `load_config` does, and also returns the layout of the family."""
    path = directory / CONFIG
    name, stored = read_object(path)
    known = families_by(FORMAT, "model_type")
    if name not in known:
        raise InputError(f"{path}: {name!r} is not one of {', '.join(known)}")
    family = known[name]
    layout = layout_of(family, FORMAT)
    encoder_config = {
        "family": family,
        **_read_settings(layout.settings, stored, layout.defaults, path),
    }
    encoder_config |= layout.constants
    try:
        BackboneConfig(**encoder_config)
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: {error}") from None
    task, head = _read_task(directory, layout, encoder_config)
    length, masking = _read_preprocessor(directory, encoder_config)
    config = {
        "task": task,
        "backbone": encoder_config,
        "head": {**head, **masking} if task == "MaskedLM" else head,
        "sequence_length": length,
        "tokenizer": FAMILIES[family].tokenizer,
    }
    return config, layout


def read_object(path: pathlib.Path, kind: type[Any] = dict) -> tuple[str, dict[str, Any]]:
    """Returns the class name and the config of a serialized Keras object."""
    stored = files.read_json(path, _Object)
    return stored["class_name"], schema.check(stored["config"], kind, path, "config")


def _read_settings(settings, stored: Mapping, defaults: Mapping, path: pathlib.Path) -> dict:
    """Does what `tables.read_settings` does; no setting may be missing, as KerasHub stores all."""
    for _, theirs, *_ in settings:
        if stored.get(theirs, defaults.get(theirs)) is None:
            raise InputError(f"{path}: lacks {theirs!r}")
    return tables.read_settings(settings, stored, defaults, str(path))


def _read_task(
    directory: pathlib.Path, layout: Layout, encoder_config: Mapping
) -> tuple[str | None, dict]:
    path = directory / TASK
    if not path.exists():
        return None, {}
    name, stored = read_object(path, _Task)
    tasks = {theirs: ours for ours, theirs in layout.models.items() if ours}
    task = tasks.get(_OLD_CLASSIFIER.sub("TextClassifier", name))
    if task is None:  # such as BertTextEmbedder; the encoder is usable
        return None, {}
    if stored.get("activation") not in (None, "linear"):
        raise InputError(
            f"{path}: a head with activation={stored['activation']!r}; only logits are supported"
        )
    if stored.get("hidden_dim") not in (None, encoder_config["hidden_dim"]):
        raise InputError(
            f"{path}: a head with hidden_dim={stored['hidden_dim']!r}; only the encoder's "
            f"{encoder_config['hidden_dim']} is supported"
        )
    head = _read_settings(layout.head_settings.get(task, ()), stored, {}, path)
    return task, {**head, **layout.head_constants.get(task, {})}


def _read_preprocessor(directory: pathlib.Path, encoder_config: Mapping) -> tuple[int | None, dict]:
    """Returns the length of a row, if it is set, and the masking settings."""
    path = directory / PREPROCESSOR
    if not path.exists():
        return None, {}
    _, stored = read_object(path, _Preprocessor)
    length, rate = stored.get("sequence_length"), stored.get("mask_selection_rate")
    # KerasHub's default is 512, even if the encoder has fewer positions.
    length = length and min(length, encoder_config["max_sequence_length"])
    return length, {} if rate is None else {"mask_rate": rate}
