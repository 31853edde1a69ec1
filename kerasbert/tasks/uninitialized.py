"""Weights that `from_preset` initialized at random, until they are trained."""

import sys
import warnings
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras

from kerasbert.errors import UninitializedWeightsWarning

if TYPE_CHECKING:
    _Model = keras.Model
else:
    _Model = object  # the class after the mixin is one

# The most elements of a weight that are compared, evenly spaced.
_COMPARED = 65_536


class UninitializedWeightsMixin(_Model):
    """Knows which weights still have the random values that `from_preset` gave them.

    Their values are compared, so that whatever changes them counts as training: `fit`, a training
    loop of one's own, `load_weights`, `set_weights`, a checkpoint that is restored. A layer counts
    as initialized as soon as one of its weights has changed, since others may be frozen.
    """

    # The path and the fingerprint of each random value.
    _marks: frozenset[tuple[str, int]] = frozenset()
    _has_answered = False

    @property
    def uninitialized_weights(self) -> list[str]:
        """Paths of the weights that `from_preset` initialized at random, until they are trained.

        `from_preset` does so with weights that the checkpoint lacks, and with all of them if
        `load_weights` is False. Answers that depend on such weights warn once. Saved tasks store
        the paths; a saved `Backbone` does not.

        Examples:
            >>> task.uninitialized_weights
            []
        """
        if not self._marks:
            return []
        paths = {path for path, _ in self._marks}
        values = [_mark(variable) for variable in self.weights if variable.path in paths]
        unchanged = self._marks.intersection(values)
        trained = {_layer(path) for path, _ in self._marks - unchanged}
        self._marks = frozenset(mark for mark in unchanged if _layer(mark[0]) not in trained)
        return [mark[0] for mark in values if mark in self._marks]

    def mark_uninitialized(self, paths: Iterable[str]) -> None:
        """Sets the `uninitialized_weights`, which have their random values now.

        Args:
            paths: paths of weights; those that the model lacks are ignored.
        """
        wanted = set(paths)
        self._marks = frozenset(_mark(v) for v in self.weights if v.path in wanted)
        self._has_answered = False

    @property
    def _marks_in_json(self) -> list[list]:
        return [list(mark) for mark in sorted(self._marks)]

    def _in_use(self, variables: list) -> list:
        """Returns the variables that the outputs depend on."""
        return variables

    @property
    def random_weights_in_use(self) -> list[str]:
        """The `uninitialized_weights` that the outputs depend on: no pooler that is not used."""
        used = {variable.path for variable in self._in_use(self.weights)}
        return [path for path in self.uninitialized_weights if path in used]

    def warn_of_random_weights(self, what: str = "its answers depend") -> None:
        """Warns if the outputs depend on uninitialized weights.

        Args:
            what: what depends on them, with its verb.
        """
        if weights := self.random_weights_in_use:
            warning = UninitializedWeightsWarning(f"{self.name}: {what}", weights)
            warnings.warn(warning, stacklevel=_depth_of_user())

    def _before_answers(self) -> None:
        """Warns of uninitialized weights, once."""
        if self._marks and not self._has_answered:
            self._has_answered = True
            self.warn_of_random_weights()


def frozen_at_random(task: Any) -> list[str]:
    """Returns the random weights in use that training would leave so, as all of a layer is frozen.

    Args:
        task: `Task`, with its weights frozen as for training.
    """
    random = task.random_weights_in_use
    trainable = {variable.path for variable in task.trainable_variables}
    trained = {_layer(path) for path in random if path in trainable}
    return [path for path in random if _layer(path) not in trained]


def _mark(variable: Any) -> tuple[str, int]:
    """Returns the path of a weight, and a fingerprint of its value."""
    values = variable.numpy().reshape(-1)
    some = values[:: max(1, values.size // _COMPARED)]
    return variable.path, zlib.crc32(some.tobytes())


def _layer(path: str) -> str:
    return path.split("/")[0]


def _depth_of_user() -> int:
    """Returns the `stacklevel` of the first caller outside kerasbert and Keras, for `warn`."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in _LIBRARIES:
        frame, depth = frame.f_back, depth + 1
    return depth


_LIBRARIES = ("kerasbert", "keras")
