"""Saving tasks as `.keras` files."""

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import keras

from kerasbert import schema
from kerasbert.backbone import Backbone
from kerasbert.layers.state import restore_state, state_of
from kerasbert.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    _Model = keras.Model
else:
    _Model = object  # the class after the mixin is one


class SerializableMixin(_Model):
    """Implements a task's config and assets for Keras."""

    # Attributes of the task.
    backbone: Backbone
    sequence_length: int
    tokenizer: Tokenizer | None
    head_config: Callable[[], dict[str, Any]]
    uninitialized_weights: list[str]
    _marks: frozenset[tuple[str, int]]
    _marks_in_json: list[list]

    # The tokenizer's stored config, from `from_config` until `load_assets` has loaded its files.
    _tokenizer_config: dict | None = None

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of `from_config`.

        A `.keras` file stores the tokenizer's files separately: in the config, the whole vocabulary
        would appear in Keras's messages.
        """
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "tokenizer": self.tokenizer,  # Keras stores its config
            "sequence_length": self.sequence_length,
            "name": self.name,
            "state": state_of(self),
            **({"uninitialized": self._marks_in_json} if self.uninitialized_weights else {}),
            **self.head_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Creates the task from the result of `get_config`.

        Args:
            config: dict, the result of `get_config`.
            custom_objects: as in Keras.
        """
        config = dict(config)
        backbone = keras.saving.deserialize_keras_object(config.pop("backbone"), custom_objects)
        state, tokenizer = config.pop("state"), config.pop("tokenizer")
        marks = config.pop("uninitialized", [])
        kind = list[tuple[str, int]]
        schema.check(marks, kind, f"the config of {cls.__name__}", "uninitialized")
        stored = tokenizer["config"] if isinstance(tokenizer, dict) else None
        task = cls(backbone, tokenizer=None if stored else tokenizer, **config)
        task._tokenizer_config = stored
        restore_state(task, state)
        # They are of the weights that a .keras file holds, which Keras loads afterwards.
        task._marks = frozenset((path, value) for path, value in marks)
        return task

    def save_assets(self, dir_path: str) -> None:
        """Writes the tokenizer's files to the assets of a `.keras` file.

        Args:
            dir_path: string, an existing directory.
        """
        if self.tokenizer is not None:
            from kerasbert import text

            text.save_assets(self.tokenizer, pathlib.Path(dir_path))

    def load_assets(self, dir_path: str) -> None:
        """Loads the tokenizer from the files that `save_assets` wrote.

        Args:
            dir_path: string, the directory.
        """
        if self._tokenizer_config:
            from kerasbert import text

            self.tokenizer = text.load_tokenizer(pathlib.Path(dir_path), self._tokenizer_config)
            self._tokenizer_config = None
