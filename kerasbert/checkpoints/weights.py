"""Conversion of weights between a format and kerasbert, by the tables of `kerasbert.families`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError, listed
from kerasbert.families.layout import (
    DENSE,
    EMBEDDING,
    FROM_HEADS,
    NORM,
    TENSOR,
    TO_HEADS,
    TRANSPOSED,
    WeightTable,
)


@dataclasses.dataclass(frozen=True)
class WeightNaming:
    """The names and the layout of a format's weights.

    Attributes:
        parts: for each kind of row, a dict from variables to endings of tensor names.
        transposed: whether dense kernels have the shape (output, input).
        split_heads: whether kernels of attention have an axis of heads.
    """

    parts: Mapping[str, Mapping[str, str]]
    transposed: bool = False
    split_heads: bool = False


def parts(separator: str, kernel: str, gamma: str, beta: str, table: str) -> dict[str, Any]:
    """Returns the endings of a format's tensor names for the variables of each kind of layer."""
    dense = {"kernel": separator + kernel, "bias": separator + "bias"}
    return {
        DENSE: dense,
        TO_HEADS: dense,
        FROM_HEADS: dense,
        NORM: {"gamma": separator + gamma, "beta": separator + beta},
        EMBEDDING: {"embeddings": separator + table if table else ""},
    }


@dataclasses.dataclass(frozen=True)
class WeightMapping:
    """A variable and its tensor in a format.

    Attributes:
        ours: string, the path of the variable.
        theirs: string, the name of the tensor.
        kind: the kind of the row.
        part: string, "kernel", "bias", ...
    """

    ours: str
    theirs: str
    kind: str
    part: str


def weight_map(
    rows: WeightTable, naming: WeightNaming, config: BackboneConfig, prefix: str = ""
) -> list[WeightMapping]:
    """Expands a table for a model's number of layers, in the table's order."""
    size, layers = config.layers_per_group, config.num_own_layers
    mappings = []
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
                mappings.append(WeightMapping(our, their, kind, our.rsplit("/", 1)[-1]))
            elif our == "mlm_head/table":  # a variable of our head, an embedding in formats
                mappings.append(
                    WeightMapping(our, their + naming.parts[kind]["embeddings"], kind, "table")
                )
            else:
                mappings += [
                    WeightMapping(f"{our}/{part}", their + ending, kind, part)
                    for part, ending in naming.parts[kind].items()
                ]
    return mappings


def to_ours(array: np.ndarray, link: WeightMapping, naming: WeightNaming) -> np.ndarray:
    """Converts a tensor to the layout of the variable."""
    if link.kind == TRANSPOSED or (naming.transposed and link.part == "kernel"):
        return array.T
    axis = _heads_axis(array, link)
    if axis is not None:
        return array.reshape(*array.shape[:axis], -1, *array.shape[axis + 2 :])
    return array


def _heads_axis(array: np.ndarray, link: WeightMapping) -> int | None:
    """Returns the axis of attention heads, or None."""
    if link.kind == TO_HEADS:  # (hidden, heads, size); the bias (heads, size)
        return {("kernel", 3): 1, ("bias", 2): 0}.get((link.part, array.ndim))
    if link.kind == FROM_HEADS and array.ndim == 3:  # (heads, size, hidden)
        return 0
    return None


def check_heads(
    wanted: list[WeightMapping], tensors: Mapping[str, np.ndarray], num_heads: int, source: str
) -> None:
    """Raises `InputError` for a tensor with another number of heads, before heads are merged."""
    for link in wanted:
        array = tensors.get(link.theirs)
        if array is None:
            continue
        axis = _heads_axis(array, link)
        if axis is not None and array.shape[axis] != num_heads:
            raise InputError(
                f"{source}: {link.theirs} {array.shape} has {array.shape[axis]} heads, the config "
                f"{num_heads}"
            )


def to_theirs(
    array: np.ndarray, link: WeightMapping, naming: WeightNaming, num_heads: int
) -> np.ndarray:
    """Converts a variable to the format's layout; the inverse of `to_ours`."""
    if link.kind == TRANSPOSED or (naming.transposed and link.part == "kernel"):
        return np.ascontiguousarray(array.T)
    if naming.split_heads and link.kind == TO_HEADS:
        return array.reshape(*array.shape[:-1], num_heads, -1)
    if naming.split_heads and link.kind == FROM_HEADS and link.part == "kernel":
        return array.reshape(num_heads, -1, array.shape[-1])
    return array


def read_weights(
    wanted: list[WeightMapping], tensors: Mapping[str, np.ndarray], naming: WeightNaming
) -> tuple[dict[str, np.ndarray], dict[str, str], set[str]]:
    """Converts a format's tensors to our weights.

    Returns:
        Dict of arrays by variable path; dict from variable paths to names in the file; set of the
        names that were used.
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
    """Raises `InputError` if `extra`, a list of unused tensors' names and shapes, is not empty."""
    if extra:
        raise InputError(
            f"{source}: {len(extra)} tensors that are not part of the config's model: "
            f"{listed(extra)}"
        )


def write_weights(
    wanted: list[WeightMapping],
    weights: Mapping[str, np.ndarray],
    naming: WeightNaming,
    num_heads: int,
) -> dict[str, np.ndarray]:
    """Converts our weights to a format's tensors, in the table's order."""
    return {
        link.theirs: to_theirs(weights[link.ours], link, naming, num_heads)
        for link in wanted
        if link.ours in weights
    }
