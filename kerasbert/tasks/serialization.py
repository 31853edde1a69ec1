"""How a task is stored in a `.keras` file."""

import pathlib
from typing import Self

import keras

from kerasbert.layers.state import restore_state, state_of


class SerializableMixin:
    """A task's config and assets, as Keras stores and restores them."""

    # The stored config of the tokenizer, from `from_config` until `load_assets` has its files.
    _tokenizer_config = None

    def get_config(self) -> dict:
        """Everything that `from_config` needs.

        In a `.keras` file the tokenizer's own files lie beside the config, which would otherwise
        stand in messages with all of the vocabulary.
        """
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "tokenizer": self.tokenizer,  # Keras stores its config
            "sequence_length": self.sequence_length,
            "name": self.name,
            "state": state_of(self),
            **self.head_config(),
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> Self:
        """The inverse of `get_config`."""
        config = dict(config)
        backbone = keras.saving.deserialize_keras_object(config.pop("backbone"), custom_objects)
        state, tokenizer = config.pop("state"), config.pop("tokenizer")
        stored = tokenizer["config"] if isinstance(tokenizer, dict) else None
        task = cls(backbone, tokenizer=None if stored else tokenizer, **config)
        task._tokenizer_config = stored
        restore_state(task, state)
        return task

    def save_assets(self, dir_path: str) -> None:
        """Writes the tokenizer's files where Keras keeps what is no weight."""
        if self.tokenizer is not None:
            from kerasbert import text

            text.save_assets(self.tokenizer, pathlib.Path(dir_path))

    def load_assets(self, dir_path: str) -> None:
        """Reads what `save_assets` wrote."""
        if self._tokenizer_config:
            from kerasbert import text

            self.tokenizer = text.load_tokenizer(pathlib.Path(dir_path), self._tokenizer_config)
            self._tokenizer_config = None
