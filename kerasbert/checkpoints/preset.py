"""A model directory that has been read, whatever its format, but is no model yet."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kerasbert.errors import InputError

# What may be resized, by the fact that asks for it: the variables whose rows it counts.
_RESIZABLE = {
    "vocabulary_size": (
        "embeddings/token_embedding/embeddings",
        "mlm_head/table",
        "mlm_head/bias",
    ),
    "max_sequence_length": ("embeddings/position_embedding/embeddings",),
}
_ENCODER = ("embeddings/", "layer_")
_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Preset:
    """Config and weights in kerasbert's terms.

    Attributes:
        directory: where it is.
        source: the file of the weights, for messages.
        format: the format it has.
        config: `task` (a task's name or None), `backbone` (facts), `head` (the task's arguments),
            `tokenizer` (a config or None) and what the task added.
        weights: arrays by variable path.
        names: what the file calls them, by variable path.
        left_over: names in the file that were not used, such as an optimizer's slots.
        unread: names of settings that kerasbert has no place for.
    """

    directory: pathlib.Path
    source: str
    format: str
    config: dict
    weights: dict[str, np.ndarray]
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    left_over: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def facts(self) -> dict:
        """The facts of the backbone."""
        return self.config.get("backbone", {})

    def has(self, layer: str) -> bool:
        """Whether there are weights of a layer, by the first part of their paths."""
        return any(path.split("/")[0] == layer for path in self.weights)

    def assign(
        self, variables: Iterable, *, optional: Iterable = (), resize: Mapping[str, Any] = {}
    ) -> list[str]:
        """Puts the stored arrays into Keras variables with the same paths; all of them, or none.

        Args:
            variables: must all be there.
            optional: variables whose whole layer may be missing; they keep their values then.
            resize: facts of `BackboneConfig` that may differ from what is stored.

        Returns:
            The paths of the optional variables that were not there.

        Raises:
            InputError: a variable is missing or has another shape, the encoder in the file has a
                weight that no variable asks for, or a weight is not finite; the message lists them.
        """
        variables, optional = list(variables), list(optional)
        new = [v for v in optional if not self.has(v.path.split("/")[0])]
        wanted = variables + [v for v in optional if self.has(v.path.split("/")[0])]
        resizable = {path for fact in resize for path in _RESIZABLE.get(fact, ())}
        problems = [
            f"{v.path} {tuple(v.shape)}: {self._found(v.path)}"
            for v in wanted
            if not _fits(self.weights.get(v.path), v, v.path in resizable)
        ]
        paths = {variable.path for variable in wanted}
        problems += [
            f"{path}: the file has {array.shape}, the model nothing{self._called(path)}"
            for path, array in self.weights.items()
            if path.startswith(_ENCODER) and path not in paths
        ]
        if problems:
            shown = "; ".join(problems[:_SHOWN]) + (" ..." if len(problems) > _SHOWN else "")
            raise InputError(
                f"{self.source}: {len(problems)} of {len(wanted)} weights don't fit: {shown}"
            )
        named = {f"{path}{self._called(path)}": self.weights[path] for path in paths}
        check_finite(self.source, named)
        for variable in wanted:
            array = self.weights[variable.path]
            same = array.shape == tuple(variable.shape)
            variable.assign(array if same else _resized(array, variable, self._first_position))
        return [variable.path for variable in new]

    @property
    def _first_position(self) -> int:
        """The row of the first token; RoBERTa has padding's before it."""
        offset = self.facts.get("positions") == "learned_offset"
        return self.facts.get("padding_id", 0) + 1 if offset else 0

    def _found(self, path: str) -> str:
        if path not in self.weights:
            return f"not in the file{self._called(path)}"
        return f"the file has {self.weights[path].shape}{self._called(path)}"

    def _called(self, path: str) -> str:
        return f" as {self.names[path]}" if path in self.names else ""


def check_finite(source: str | os.PathLike, weights: Mapping[str, np.ndarray]) -> None:
    """Raises `InputError` if a weight is NaN or infinite: all that such a model says is wrong.

    Args:
        source: where the weights are, or would be, for the message.
        weights: arrays by what the message calls them.
    """
    with np.errstate(over="ignore"):  # 64 bits may hold what is infinite in 32
        problems = [
            name
            for name, array in weights.items()
            if not np.isfinite(np.asarray(array, np.float32)).all()
        ]
    if problems:
        shown = ", ".join(problems[:_SHOWN]) + (" ..." if len(problems) > _SHOWN else "")
        raise InputError(
            f"{source}: {len(problems)} of {len(weights)} weights are not finite (NaN or "
            f"infinity), as after training that diverged or in a damaged file: {shown}"
        )


def _fits(array: np.ndarray | None, variable, resizable: bool) -> bool:
    if array is None:
        return False
    shape = tuple(variable.shape)
    return array.shape == shape or (resizable and array.shape[1:] == shape[1:])


def _resized(array: np.ndarray, variable, first_position: int) -> np.ndarray:
    """Old rows stay. A new token keeps its first random row, a new position repeats an old one."""
    rows = variable.shape[0]
    if "position_embedding" in variable.path:
        places = np.arange(rows)
        real = len(array) - first_position
        places[first_position:] = first_position + (places[first_position:] - first_position) % real
        return array[places]
    resized = variable.numpy()
    resized[: len(array)] = array[:rows]
    return resized
