"""A model directory that has been read, whatever its format, but is no model yet."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kerasbert.checkpoints import sizes
from kerasbert.config import BackboneConfig
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
# Variables with an element for each class.
_CLASSES = ("classifier/bias", "token_classifier/bias")
# Where a stored head has none: as many as no head of small files is too large for.
_MOST_NEW_CLASSES = 10_000
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
    unused_weights: tuple[str, ...] = ()
    unsupported_settings: tuple[str, ...] = ()

    @property
    def encoder_config(self) -> dict:
        """The facts of the backbone."""
        return self.config.get("backbone", {})

    def has(self, layer: str) -> bool:
        """Whether there are weights of a layer, by the first part of their paths."""
        return any(path.split("/")[0] == layer for path in self.weights)

    def backbone_config(self, **overrides) -> BackboneConfig:
        """The facts, with some changed, after a look at whether the weights are of such a model.

        So nothing is built because a small file says that it is large.

        Args:
            **overrides: facts of `BackboneConfig`.

        Raises:
            InputError: a fact is missing, unknown or impossible, or the encoder's weights are
                others; the message lists them.
        """
        config = BackboneConfig.from_stored(self.encoder_config, self.source, **overrides)
        sizes.check_layers(vars(config), len(self.weights), self.source)
        for path, array in self.weights.items():
            if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
                raise InputError(
                    f"{self.source}: {path}{self._called(path)} is of the type {array.dtype}; "
                    "weights must be floats"
                )
        # Tasks may do without a pooler, but not with a part of one.
        pooler = config.pooler and self.has("pooler")
        shapes = list(sizes.encoder_shapes(dataclasses.replace(config, pooler=pooler)))
        self._raise(self._misfits(shapes, overrides), len(shapes))
        return config

    def check_classes(self) -> None:
        """Raises `InputError` if the head has another number of classes than its config says."""
        classes = self.config["head"]["classes"]
        if not isinstance(classes, int | list):
            return  # the task says what they must be
        count = classes if isinstance(classes, int) else len(classes)
        shapes = [(path, (count,)) for path in _CLASSES if path in self.weights]
        self._raise(self._misfits(shapes), len(shapes))
        if not shapes and count > _MOST_NEW_CLASSES:
            raise InputError(
                f"{self.source}: has no weights of a head of {count} classes; give classes="
            )

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
        problems = self._misfits([(v.path, tuple(v.shape)) for v in wanted], resize)
        paths = {variable.path for variable in wanted}
        problems += [
            f"{path}: the file has {array.shape}, the model nothing{self._called(path)}"
            for path, array in self.weights.items()
            if path.startswith(_ENCODER) and path not in paths
        ]
        self._raise(problems, len(wanted))
        named = {f"{path}{self._called(path)}": self.weights[path] for path in paths}
        check_finite(self.source, named)
        for variable in wanted:
            array = self.weights[variable.path]
            same = array.shape == tuple(variable.shape)
            variable.assign(array if same else _resized(array, variable, self._first_position))
        return [variable.path for variable in new]

    def _misfits(
        self, shapes: Iterable[tuple[str, tuple]], resize: Iterable[str] = ()
    ) -> list[str]:
        """What is wrong with the weights that should have these paths and shapes."""
        resizable = {path for fact in resize for path in _RESIZABLE.get(fact, ())}
        return [
            f"{path} {shape}: {self._found(path)}"
            for path, shape in shapes
            if not _fits(self.weights.get(path), shape, path in resizable)
        ]

    def _raise(self, problems: list[str], wanted: int) -> None:
        if problems:
            shown = "; ".join(problems[:_SHOWN]) + (" ..." if len(problems) > _SHOWN else "")
            raise InputError(
                f"{self.source}: {len(problems)} of {wanted} weights don't fit: {shown}"
            )

    @property
    def _first_position(self) -> int:
        """The row of the first token; RoBERTa has padding's before it."""
        offset = self.encoder_config.get("positions") == "learned_offset"
        return self.encoder_config.get("padding_id", 0) + 1 if offset else 0

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


def _fits(array: np.ndarray | None, shape: tuple[int, ...], resizable: bool) -> bool:
    if array is None:
        return False
    return array.shape == shape or (resizable and array.shape[1:] == shape[1:])


def _resized(array: np.ndarray, variable, first_position: int) -> np.ndarray:
    """Old rows stay. A new token keeps its first random row, a new position repeats an old one."""
    rows = variable.shape[0]
    if "position_embedding" in variable.path:
        positions = np.arange(rows)
        real = len(array) - first_position
        positions[first_position:] = (
            first_position + (positions[first_position:] - first_position) % real
        )
        return array[positions]
    resized = variable.numpy()
    resized[: len(array)] = array[:rows]
    return resized
