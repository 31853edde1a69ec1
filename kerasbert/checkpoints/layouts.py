"""The tables of `kerasbert.families`, put to use: settings and weights of a format <-> ours."""

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kerasbert import schema
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError
from kerasbert.families import FAMILIES, Layout
from kerasbert.families.layout import (
    DENSE,
    EMBEDDING,
    FROM_HEADS,
    NORM,
    TENSOR,
    TO_HEADS,
    TRANSPOSED,
    Rows,
    Settings,
)

_SHOWN = 8  # of a list in a message

# === Settings ===

_HF_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
# google-research/bert's "gelu" is the tanh form.
_GOOGLE_ACTIVATIONS = {"gelu": "gelu_tanh", "relu": "relu", "tanh": "tanh"}
# google-research/electra's is not.
_ELECTRA_ACTIVATIONS = {**_GOOGLE_ACTIVATIONS, "gelu": "gelu"}


def _by_name(names: Mapping[str, str]):
    written = {ours: theirs for theirs, ours in reversed(names.items())}

    def read(value, config):
        if value not in names:
            raise InputError(f"knows no activation {value!r}; there are {', '.join(names)}")
        return names[value]

    def write(value, facts):
        if value not in written:
            raise InputError(
                f"the format has no name for the activation {value!r}; it has {', '.join(written)} "
                "(activation= on loading, convert.py --activation)"
            )
        return written[value]

    return read, write


def _read_labels(value, config):
    if value is None:  # files of 2019 have the number, under one name or the other
        count = config.get("num_labels") or config.get("_num_labels") or 2
        return [f"LABEL_{i}" for i in _indices(count)]
    by_index = {int(key): label for key, label in value.items()}
    if sorted(by_index) != list(range(len(by_index))):
        raise InputError(f"must name the classes 0 to {len(by_index) - 1}")
    # transformers writes what a dataset has for a label: integers, say.
    labels = [by_index[index] for index in range(len(by_index))]
    if not all(isinstance(label, str | int | float) for label in labels):
        raise InputError("a label must be a string or a number")
    return [str(label) for label in labels]


def _read_problem_type(value, config):
    """What transformers takes a head for whose config does not say."""
    labels = _read_labels(config.get("id2label"), config)
    found = value or ("regression" if len(labels) == 1 else "single_label_classification")
    if found not in _PROBLEM_TYPES:
        raise InputError(f"none of {', '.join(_PROBLEM_TYPES)}")
    return found


def _indices(count) -> range:
    """Those of classes of which only the number is said."""
    if type(count) is not int or not 1 <= count <= _MOST_CLASSES:
        raise InputError(f"{count!r} is no number of classes, 1 to {_MOST_CLASSES:,}")
    return range(count)


_MOST_CLASSES = 1_000_000
_PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")

#: By name: from the format's value and whole config to ours, and from ours and all facts to the
#: format's value.
CODECS: dict[str, tuple[Callable, Callable]] = {
    "activation": _by_name(_HF_ACTIVATIONS),
    "google_activation": _by_name(_GOOGLE_ACTIVATIONS),
    "electra_activation": _by_name(_ELECTRA_ACTIVATIONS),
    "labels": (
        _read_labels,
        lambda classes, facts: {str(i): name for i, name in enumerate(classes)},
    ),
    "problem_type": (_read_problem_type, lambda value, facts: value),
    "count": (
        lambda count, config: [str(i) for i in _indices(count)],
        lambda classes, facts: len(classes),
    ),
    # RoBERTa's table has rows for positions that no token has: padding's and those before it.
    "positions_after_padding": (
        lambda rows, config: rows - config["pad_token_id"] - 1,
        lambda length, facts: length + facts["padding_id"] + 1,
    ),
    # ELECTRA projects only where the widths differ.
    "width_if_projected": (
        lambda width, config: None if width == config["hidden_size"] else width,
        lambda width, facts: width or facts["hidden_dim"],
    ),
    "task_types": (
        lambda rows, config: rows if config["use_task_id"] else 0,
        # Without use_task_id the number means nothing; transformers' default.
        lambda rows, facts: rows or 3,
    ),
    "as_is": (lambda value, config: value, lambda value, facts: value),
}


def read_settings(settings: Settings, config: Mapping, defaults: Mapping, source: str) -> dict:
    """Ours from theirs.

    Args:
        settings: the table.
        config: the format's config.
        defaults: what a key means that is not there.
        source: the file, for messages.

    Raises:
        InputError: a key is missing or has a value that we have nothing for.
    """
    config = {**defaults, **config}
    facts = {}
    for ours, theirs, *codec in settings:
        if theirs not in config and not _FROM_OTHERS.intersection(codec):
            if ours in _REQUIRED:
                raise InputError(f"{source}: lacks {theirs!r}")
            continue
        read, _ = CODECS[codec[0] if codec else "as_is"]
        try:
            facts[ours] = read(config.get(theirs), config)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise InputError(f"{source}: {theirs}={config.get(theirs)!r}: {error}") from None
        schema.check(facts[ours], _KINDS.get(ours, Any), source, theirs)
    return facts


# What ours must be where no other check would name the format's key. A head's dropout may be null.
_KINDS = {"dropout": schema.Rate | None, "attention_dropout": schema.Rate, "tied": bool}
# Codecs that know what a key means that is not there.
_FROM_OTHERS = {"labels", "problem_type"}
_REQUIRED = ("vocabulary_size", "num_layers", "hidden_dim", "num_heads", "intermediate_dim")


def write_settings(settings: Settings, facts: Mapping) -> dict:
    """Theirs from ours; the inverse of `read_settings`."""
    config = {}
    for ours, theirs, *codec in settings:
        if ours in facts:
            _, write = CODECS[codec[0] if codec else "as_is"]
            config[theirs] = write(facts[ours], facts)
    return config


def check_only(layout: Layout, config: Mapping, source: str) -> None:
    """Raises `InputError` for a setting that kerasbert's layers can't follow."""
    for key, value in layout.only.items():
        if config.get(key, value) != value:
            raise InputError(f"{source}: {key}={config[key]!r}; only {value!r} is supported")


def check_expressible(layout: Layout, config: BackboneConfig, written: Mapping, format: str):
    """Raises `InputError` if reading `written` would give another config than `config`."""
    read = read_settings(layout.settings, written, layout.defaults, format)
    back = BackboneConfig(**{"family": config.family, **read, **layout.constants})
    for field in dataclasses.fields(config):
        ours, theirs = getattr(config, field.name), getattr(back, field.name)
        if field.name == "padding_id" and config.positions != "learned_offset":
            continue  # the tokenizer knows it
        if field.name not in _SAID_ELSEWHERE and ours != theirs:
            raise InputError(
                f"format {format!r} has no place for {field.name}={ours!r} in the family "
                f"{config.family!r} (there it is {theirs!r}); save as 'kerasbert'"
            )


# By the weights, or of no concern to another process; and what only matters to new weights.
_SAID_ELSEWHERE = ("pooler", "return_hidden_states", "task_type", "initializer_range")


def check_head(layout: Layout, backbone: BackboneConfig, task, head: Mapping) -> None:
    """Raises `InputError` for what a format fixes in a head, or takes from the encoder.

    Warns if the names of classes stay behind.
    """
    unsaid = {
        "activation": backbone.activation,
        "layer_norm_epsilon": backbone.layer_norm_epsilon,
        "objective": "nsp",
        "problem_type": "single_label_classification",
        "threshold": 0.5,
        "long_text": None,
    }
    settings = layout.head_settings.get(task, ())
    said = {row[0] for row in settings}
    for name, value in {**unsaid, **layout.head_constants.get(task, {})}.items():
        if name in said:
            continue
        ours = head.get(name)
        if ours is None:
            ours = unsaid.get(name, value)
        if name in head and ours != value:
            raise InputError(
                f"the format has no place for {name}={ours!r} in the head of a {task} "
                f"(there it is {value!r}); save as 'kerasbert'"
            )
    classes = head.get("classes", ())
    if not {("classes", "id2label", "labels")} & {*settings} and any(
        name != str(index) for index, name in enumerate(classes)
    ):
        warnings.warn(
            f"the format keeps the number of classes, not their names {', '.join(classes)}",
            stacklevel=2,
        )


# === Weights ===


@dataclasses.dataclass(frozen=True)
class Naming:
    """How a format names the variables of a layer and lays them out.

    Attributes:
        parts: by kind of row: variable, ending of the tensor's name.
        transposed: whether dense kernels are (output, input).
        split_heads: whether kernels next to attention have an axis of heads.
    """

    parts: Mapping[str, Mapping[str, str]]
    transposed: bool = False
    split_heads: bool = False


def parts(separator: str, kernel: str, gamma: str, beta: str, table: str) -> dict:
    """The endings that a format gives to the variables of every kind of layer."""
    dense = {"kernel": separator + kernel, "bias": separator + "bias"}
    return {
        DENSE: dense,
        TO_HEADS: dense,
        FROM_HEADS: dense,
        NORM: {"gamma": separator + gamma, "beta": separator + beta},
        EMBEDDING: {"embeddings": separator + table if table else ""},
    }


@dataclasses.dataclass(frozen=True)
class Link:
    """One variable and the tensor that holds it.

    Attributes:
        ours: the variable's path.
        theirs: the tensor's name.
        kind: the kind of the row.
        part: "kernel", "bias", ...
    """

    ours: str
    theirs: str
    kind: str
    part: str


def links(rows: Rows, naming: Naming, facts: Mapping, prefix: str = "") -> list[Link]:
    """Spells a table out for a model of some size, in the table's order."""
    size = facts.get("layers_per_group", 1)
    layers = (facts.get("num_groups") or facts["num_layers"]) * size
    found = []
    for kind, ours, theirs in rows:
        for i in range(layers if "{i}" in ours else 1):
            numbers = {
                "i": i,
                "g": i // size,
                "k": i % size,
                "after_embeddings": 4 + i,
                "after_layers": 4 + layers,
            }
            our, their = ours.format(**numbers), prefix + theirs.format(**numbers)
            if kind in (TENSOR, TRANSPOSED):
                found.append(Link(our, their, kind, our.rsplit("/", 1)[-1]))
            elif our == "mlm_head/table":  # a variable of the head, an embedding to others
                found.append(Link(our, their + naming.parts[kind]["embeddings"], kind, "table"))
            else:
                found += [
                    Link(f"{our}/{part}", their + ending, kind, part)
                    for part, ending in naming.parts[kind].items()
                ]
    return found


def to_ours(array: np.ndarray, link: Link, naming: Naming) -> np.ndarray:
    """A tensor as the variable has it."""
    if link.kind == TRANSPOSED or (naming.transposed and link.part == "kernel"):
        return array.T
    axis = _heads_axis(array, link)
    if axis is not None:
        return array.reshape(*array.shape[:axis], -1, *array.shape[axis + 2 :])
    return array


def _heads_axis(array: np.ndarray, link: Link) -> int | None:
    """Which axis counts attention heads, if one does."""
    if link.kind == TO_HEADS:  # (hidden, heads, size); the bias (heads, size)
        return {("kernel", 3): 1, ("bias", 2): 0}.get((link.part, array.ndim))
    if link.kind == FROM_HEADS and array.ndim == 3:  # (heads, size, hidden)
        return 0
    return None


def check_heads(
    wanted: list[Link], tensors: Mapping[str, np.ndarray], num_heads: int, source: str
) -> None:
    """Raises `InputError` for a tensor with another number of heads; joined, nobody would see."""
    for link in wanted:
        array = tensors.get(link.theirs)
        axis = None if array is None else _heads_axis(array, link)
        if axis is not None and array.shape[axis] != num_heads:
            raise InputError(
                f"{source}: {link.theirs} {array.shape} has {array.shape[axis]} heads, the config "
                f"{num_heads}"
            )


def to_theirs(array: np.ndarray, link: Link, naming: Naming, num_heads: int) -> np.ndarray:
    """A variable as the format has it; the inverse of `to_ours`."""
    if link.kind == TRANSPOSED or (naming.transposed and link.part == "kernel"):
        return np.ascontiguousarray(array.T)
    if naming.split_heads and link.kind == TO_HEADS:
        return array.reshape(*array.shape[:-1], num_heads, -1)
    if naming.split_heads and link.kind == FROM_HEADS and link.part == "kernel":
        return array.reshape(num_heads, -1, array.shape[-1])
    return array


def read_weights(
    wanted: list[Link], tensors: Mapping[str, np.ndarray], naming: Naming
) -> tuple[dict[str, np.ndarray], dict[str, str], set[str]]:
    """Ours from theirs.

    Returns:
        Arrays by variable path; every variable's name in the file; the names that were used.
    """
    weights, names, used = {}, {}, set()
    for link in wanted:
        names.setdefault(link.ours, link.theirs)
        if link.theirs not in tensors:
            continue
        used.add(link.theirs)
        if link.ours not in weights:
            weights[link.ours] = to_ours(tensors[link.theirs], link, naming)
            names[link.ours] = link.theirs
    return weights, names, used


def check_extra(source: str, extra: list[str]) -> None:
    """Raises `InputError` if there are tensors, given as name and shape, that nothing asks for."""
    if extra:
        shown = ", ".join(extra[:_SHOWN]) + (" ..." if len(extra) > _SHOWN else "")
        raise InputError(
            f"{source}: {len(extra)} tensors that the config does not ask for: {shown}"
        )


def write_weights(
    wanted: list[Link], weights: Mapping[str, np.ndarray], naming: Naming, num_heads: int
) -> dict[str, np.ndarray]:
    """Theirs from ours, in the table's order."""
    return {
        link.theirs: to_theirs(weights[link.ours], link, naming, num_heads)
        for link in wanted
        if link.ours in weights
    }


def layout_of(family: str, format: str) -> Layout:
    """The layout of a family in a format; raises `InputError` if there is none."""
    layouts = FAMILIES[family].layouts
    if format not in layouts:
        known = ", ".join(name for name in layouts if name != "tf2")
        raise InputError(
            f"the family {family!r} has no {format!r} format; there are kerasbert, {known}"
        )
    return layouts[format]
