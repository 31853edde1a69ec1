"""The config and weights of a model directory, independent of its format."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kerasbert.checkpoints import sizes
from kerasbert.config import BackboneConfig
from kerasbert.errors import InputError, escaped, listed

# The variables whose first axis depends on a resizable argument of the backbone.
_RESIZABLE = {
    "vocabulary_size": (
        "embeddings/token_embedding/embeddings",
        "mlm_head/table",
        "mlm_head/bias",
    ),
    "max_sequence_length": ("embeddings/position_embedding/embeddings",),
}
_ENCODER = ("embeddings/", "layer_")
# Variables with one element per class.
_CLASSES = ("classifier/bias", "token_classifier/bias")
# The maximum number of classes of a head without stored weights, which no file's size limits.
_MOST_NEW_CLASSES = 10_000


@dataclasses.dataclass(frozen=True)
class Preset:
    """The config and the weights of a model directory, in kerasbert's terms.

    Args:
        directory: path of the directory.
        source: string, the weight file in messages.
        format: string, the directory's format.
        config: dict with `task` (name or None), `backbone` (arguments of `BackboneConfig`), `head`
            (arguments of the task), `tokenizer` (config or None) and further arguments of the task;
            `data_format`, if it is stored (see `Task`).
        weights: dict of arrays by variable path.
        names: dict from variable paths to names in the file.
        unused_weights: names in the file that were not used, such as an optimizer's variables.
        unsupported_settings: names of settings that kerasbert does not support.

    Examples:
        >>> import kerasbert
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=100)
        >>> backbone = kerasbert.Backbone(config)
        >>> names = backbone.save_to_preset("encoder")
        >>> preset = kerasbert.checkpoints.load("encoder")
        >>> preset.config["task"], preset.config["backbone"]["hidden_dim"], len(preset.weights)
        (None, 128, 39)
    """

    directory: pathlib.Path
    source: str
    format: str
    config: dict[str, Any]
    weights: dict[str, np.ndarray]
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unused_weights: tuple[str, ...] = ()
    unsupported_settings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        kind = self.config.get("task") or "Backbone"
        family = self.encoder_config.get("family")
        return (
            f"<Preset of {kind}: {family}, {len(self.weights)} weights, from {self.source} "
            f"({self.format})>"
        )

    @property
    def encoder_config(self) -> dict[str, Any]:
        """The arguments of `BackboneConfig`.

        Examples:
            >>> preset.encoder_config["num_layers"]
            2
        """
        return self.config.get("backbone", {})

    @property
    def uninitialized(self) -> list[str]:
        """Paths of the weights that were saved as they had been initialized at random.

        Examples:
            >>> preset.uninitialized
            []
        """
        return self.config.get("uninitialized", [])

    def has(self, layer: str) -> bool:
        """Returns whether there are weights of a layer.

        Args:
            layer: string, the first part of their paths.

        Examples:
            >>> preset.has("pooler"), preset.has("classifier")
            (True, False)
        """
        return any(path.split("/")[0] == layer for path in self.weights)

    def backbone_config(self, **overrides: Any) -> BackboneConfig:
        """Returns the config of the backbone, checked against the shapes of the weights.

        The check prevents a small file from causing a large model to be built.

        Args:
            **overrides: arguments of `BackboneConfig` that replace stored ones.

        Raises:
            InputError: an argument is missing, unknown or invalid, or the encoder's weights do not
                fit; the message lists them.

        Examples:
            >>> preset.backbone_config(dropout=0.0).dropout
            0.0
        """
        config = BackboneConfig.from_stored(self.encoder_config, self.source, **overrides)
        sizes.check_layers(config, len(self.weights), self.source)
        for path, array in self.weights.items():
            if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
                raise InputError(
                    f"{self.source}: {path}{self._called(path)} has the type {array.dtype}; "
                    "weights must be floats"
                )
        # A pooler can be missing, but not incomplete.
        pooler = config.pooler and self.has("pooler")
        shapes = list(sizes.encoder_shapes(dataclasses.replace(config, pooler=pooler)))
        self._raise(self._misfits(shapes, overrides), len(shapes))
        return config

    def check_classes(self) -> None:
        """Raises `InputError` if the head's weights do not have the config's number of classes."""
        classes = self.config["head"]["classes"]
        if not isinstance(classes, int | list):
            return  # the task checks it
        count = classes if isinstance(classes, int) else len(classes)
        shapes = [(path, (count,)) for path in _CLASSES if path in self.weights]
        self._raise(self._misfits(shapes), len(shapes))
        if not shapes and count > _MOST_NEW_CLASSES:
            raise InputError(
                f"{self.source}: has no weights for a head of {count} classes; set classes="
            )

    def assign(
        self,
        variables: Iterable[Any],
        *,
        optional: Iterable[Any] = (),
        resize: Mapping[str, Any] = {},
    ) -> list[str]:
        """Assigns the stored arrays to the Keras variables with the same paths: all or none.

        Args:
            variables: iterable of variables, which must all be stored.
            optional: iterable of variables that keep their values if their whole layer is not
                stored.
            resize: arguments of `BackboneConfig` that may differ from the stored ones.

        Returns:
            List of the paths of the optional variables that were not stored.

        Raises:
            InputError: a variable is missing or has another shape, the file has an encoder weight
                without a variable, or a weight is not finite; the message lists them.

        Examples:
            >>> preset.assign(kerasbert.Backbone(preset.backbone_config()).weights)
            []
        """
        variables, optional = list(variables), list(optional)
        new = [v for v in optional if not self.has(v.path.split("/")[0])]
        wanted = variables + [v for v in optional if self.has(v.path.split("/")[0])]
        problems = self._misfits([(v.path, tuple(v.shape)) for v in wanted], resize)
        paths = {variable.path for variable in wanted}
        problems += [
            f"{path}: the file has {array.shape}, the model has no such weight{self._called(path)}"
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
        """Returns descriptions of the weights that do not have these paths and shapes."""
        resizable = {path for name in resize for path in _RESIZABLE.get(name, ())}
        return [
            f"{path} {shape}: {self._found(path)}"
            for path, shape in shapes
            if not _fits(self.weights.get(path), shape, path in resizable)
        ]

    def _raise(self, problems: list[str], wanted: int) -> None:
        if problems:
            raise InputError(
                f"{self.source}: {len(problems)} of {wanted} weights don't fit: "
                f"{listed(problems, '; ')}"
            )

    @property
    def _first_position(self) -> int:
        """The row of the first token; in RoBERTa, rows of padding come before it."""
        offset = self.encoder_config.get("positions") == "learned_offset"
        return self.encoder_config.get("padding_id", 0) + 1 if offset else 0

    def _found(self, path: str) -> str:
        if path not in self.weights:
            return f"not in the file{self._called(path)}"
        return f"the file has {self.weights[path].shape}{self._called(path)}"

    def _called(self, path: str) -> str:
        return f" as {self.names[path]}" if path in self.names else ""


class SavedWeights(dict[str, str]):
    """The names of a written model's weights, by their paths; it shows as one line.

    Examples:
        >>> import kerasbert
        >>> names = {"classifier/bias": "classifier.bias"}
        >>> kerasbert.checkpoints.SavedWeights(names, "opinions")
        <1 weight saved in opinions>

    Args:
        names: the names in the file by paths of Keras variables.
        directory: the model's directory.
    """

    def __init__(self, names: Mapping[str, str], directory: str | os.PathLike[str]):
        super().__init__(names)
        self.directory = os.fspath(directory)

    def __repr__(self) -> str:
        count = f"{len(self):,} weight{'s' * (len(self) != 1)}"
        return f"<{count} saved in {escaped(str(self.directory))}>"


def check_finite(source: str | os.PathLike[str], weights: Mapping[str, np.ndarray]) -> None:
    """Raises `InputError` if a weight is NaN or infinite, which makes all outputs wrong.

    Args:
        source: path of the weights, for the message.
        weights: dict of arrays by their names in the message.
    """
    with np.errstate(over="ignore"):  # a float64 can be infinite as float32
        problems = [
            name
            for name, array in weights.items()
            if not np.isfinite(np.asarray(array, np.float32)).all()
        ]
    if problems:
        raise InputError(
            f"{source}: {len(problems)} of {len(weights)} weights are not finite (NaN or "
            f"infinity), as after training that diverged or in a damaged file: {listed(problems)}"
        )


def _fits(array: np.ndarray | None, shape: tuple[int, ...], resizable: bool) -> bool:
    if array is None:
        return False
    return array.shape == shape or (resizable and array.shape[1:] == shape[1:])


def _resized(array: np.ndarray, variable, first_position: int) -> np.ndarray:
    """Resizes the rows: new tokens keep their initial values, new positions repeat old ones."""
    rows = variable.shape[0]
    if "position_embedding" in variable.path:
        positions = np.arange(rows)
        num_positions = len(array) - first_position
        positions[first_position:] = (
            first_position + (positions[first_position:] - first_position) % num_positions
        )
        return array[positions]
    resized = variable.numpy()
    resized[: len(array)] = array[:rows]
    return resized
