"""The tables of `kerasbert.families`, put to use: weights of a format <-> ours."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from kerasbert.errors import InputError
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

_SHOWN = 8  # of a list in a message


@dataclasses.dataclass(frozen=True)
class WeightNaming:
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
class WeightMapping:
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


def weight_map(
    rows: WeightTable, naming: WeightNaming, encoder_config: Mapping, prefix: str = ""
) -> list[WeightMapping]:
    """Spells a table out for a model of some size, in the table's order."""
    size = encoder_config.get("layers_per_group", 1)
    layers = (encoder_config.get("num_groups") or encoder_config["num_layers"]) * size
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
            elif our == "mlm_head/table":  # a variable of the head, an embedding to others
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
    """A tensor as the variable has it."""
    if link.kind == TRANSPOSED or (naming.transposed and link.part == "kernel"):
        return array.T
    axis = _heads_axis(array, link)
    if axis is not None:
        return array.reshape(*array.shape[:axis], -1, *array.shape[axis + 2 :])
    return array


def _heads_axis(array: np.ndarray, link: WeightMapping) -> int | None:
    """Which axis counts attention heads, if one does."""
    if link.kind == TO_HEADS:  # (hidden, heads, size); the bias (heads, size)
        return {("kernel", 3): 1, ("bias", 2): 0}.get((link.part, array.ndim))
    if link.kind == FROM_HEADS and array.ndim == 3:  # (heads, size, hidden)
        return 0
    return None


def check_heads(
    wanted: list[WeightMapping], tensors: Mapping[str, np.ndarray], num_heads: int, source: str
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


def to_theirs(
    array: np.ndarray, link: WeightMapping, naming: WeightNaming, num_heads: int
) -> np.ndarray:
    """A variable as the format has it; the inverse of `to_ours`."""
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
    wanted: list[WeightMapping],
    weights: Mapping[str, np.ndarray],
    naming: WeightNaming,
    num_heads: int,
) -> dict[str, np.ndarray]:
    """Theirs from ours, in the table's order."""
    return {
        link.theirs: to_theirs(weights[link.ours], link, naming, num_heads)
        for link in wanted
        if link.ours in weights
    }
