"""`Task`: a model that takes raw strings, its presets and its export.

TensorFlow is imported where text comes in and nowhere else, so that a task on ready features also
runs on other Keras backends.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import keras

from kerasbert import _compat, checkpoints, renamed
from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.errors import InputError
from kerasbert.tasks import loading
from kerasbert.tasks.checks import check_arguments, check_tokenizer
from kerasbert.tasks.compiling import CompiledOnLogits
from kerasbert.tasks.cross_entropy import accuracy
from kerasbert.tasks.serialization import SerializableMixin
from kerasbert.tasks.trainable import TrainableWeightsMixin


class Task(SerializableMixin, TrainableWeightsMixin, CompiledOnLogits):
    """A functional Keras model on a backbone that also takes raw strings.

    See `TextModel` for what its methods take.

    Args:
        backbone: the encoder.
        inputs: symbolic features.
        outputs: symbolic outputs.
        tokenizer: turns text into ids; None: the task takes features only.
        sequence_length: tokens a text may have, the rest is cut off; None: all that the backbone
            takes.
        name: the model's name.
    """

    def __init__(self, backbone: Backbone, inputs, outputs, *, tokenizer, sequence_length, name):
        limit = backbone.config.max_sequence_length
        if sequence_length is not None and not 4 <= sequence_length <= limit:
            raise InputError(f"sequence_length must be in [4, {limit}], found {sequence_length}")
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self.backbone = backbone
        self.tokenizer = tokenizer
        #: Paths of the weights that `from_preset` did not find, so that they are new.
        self.uninitialized_weights: list[str] = []
        self.sequence_length = sequence_length or limit
        self._made_preprocessor = _Made((), None)

    def __new__(cls, *args, **kwargs):
        """Refuses arguments that other libraries have, and says what they are called here."""
        check_arguments(cls, kwargs)
        return super().__new__(cls, *args, **kwargs)

    @property
    def tokenizer(self):
        """Turns text into ids, or None.

        Raises:
            InputError: when it is set to one that does not fit the backbone.
        """
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer):
        if tokenizer is not None:
            check_tokenizer(tokenizer, self.backbone.config)
            tokenizer.belongs_to(self.name)
        self._tokenizer = tokenizer

    def __getattr__(self, name: str):
        if name != "new_weights":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        renamed.warn("new_weights", "uninitialized_weights")
        return self.uninitialized_weights

    @property
    def preprocessor(self):
        """Turns raw text into what this task reads, a `Preprocessor`; None without a tokenizer.

        It is made of the task's settings as they are now.
        """
        if self.tokenizer is None:
            return None
        head = self.head_config()
        settings = (self.tokenizer, self.sequence_length, head, _compat.given_loss(self))
        if self._made_preprocessor.settings != settings:
            self._made_preprocessor = _Made(settings, self.make_preprocessor())
        return self._made_preprocessor.preprocessor

    def make_preprocessor(self):
        """A new preprocessor with this task's tokenizer and settings."""
        from kerasbert.tasks.preprocessor import Preprocessor  # with text comes TensorFlow

        return Preprocessor(**self._text_settings())

    def _text_settings(self) -> dict:
        """The arguments that every preprocessor has."""
        return {
            "tokenizer": self.tokenizer,
            "sequence_length": self.sequence_length,
            "name": self.name,
        }

    @property
    def _text(self):
        if self.tokenizer is None and self._tokenizer_config:
            raise InputError(
                f"{self.name} was made of a config alone, which has no vocabulary: load the .keras "
                "file or a preset, or set tokenizer"
            )
        return super()._text

    # === What a task says about itself ===

    #: What an only output is called in an export's signature `tokens`.
    output_name = "logits"

    #: The entries of `head_config` that say what the head's weights mean.
    head_arguments: tuple[str, ...] = ()

    #: Other tasks whose head, or a part of it, this task can take over.
    heads_from: tuple[str, ...] = ()

    #: What the last axis of the outputs is: "classes", logits of a softmax; "tokens", the same over
    #: a text's tokens; "labels", logits of sigmoids; "numbers"; a "vector"; None: nothing of those.
    outputs_are: str | None = "classes"

    #: The feature that has a place for each output; None: there is one output for the whole text.
    outputs_for: str | None = None

    @property
    def outputs_activation(self) -> str | None:
        """What makes probabilities of outputs: "softmax", "sigmoid"; None: they are no logits."""
        by_kind = {"classes": "softmax", "tokens": "softmax", "labels": "sigmoid"}
        return by_kind.get(self.outputs_are)

    def accuracy_metric(self, name: str) -> keras.metrics.Metric | str | None:
        """What Keras's "accuracy" means for this task, under such a name; None: nothing."""
        if self.outputs_activation != "softmax":
            return None
        return accuracy(name) if self.outputs_for else name

    @classmethod
    def needs_pooler(cls, config: BackboneConfig) -> bool:
        """Whether the head stands on the pooled output of such a backbone."""
        return False

    def head_config(self) -> dict:
        """The constructor's arguments beyond backbone and text, in JSON types."""
        return {}

    # === What it answers ===

    def score(self, x, y, *, batch_size: int = 32) -> dict[str, float]:
        """The task's official metrics, over all examples at once.

        Args:
            x: text in any form but a dataset.
            y: labels.
            batch_size: rows at a time.
        """
        raise NotImplementedError

    def serving_signature(self) -> tuple[tuple[str, ...], Callable]:
        """The names of the string inputs of an export, and the function from them to outputs.

        See `Preprocessor.serving_signature` of the task.
        """
        return self._text.serving_signature(self)

    # === Save and load ===

    def save_to_preset(
        self, directory: str | os.PathLike, *, format: str = "kerasbert"
    ) -> dict[str, str]:
        """Writes config, weights and tokenizer to `directory`; whole or not at all.

        Args:
            directory: must not exist yet.
            format: as in `Backbone.save_to_preset`.

        Returns:
            What the file calls each weight, by its path.

        Raises:
            InputError: `directory` exists already, or the format has no place for this model.
        """
        config = {
            "task": type(self).__name__,
            "backbone": dataclasses.asdict(self.backbone.config),
            "sequence_length": self.sequence_length,
            "head": self.head_config(),
        }
        return checkpoints.save(
            directory, config, self.plain_weights(), self.tokenizer, format=format
        )

    @classmethod
    @renamed.argument("directory", "preset")
    def from_preset(
        cls,
        preset: str | os.PathLike,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        dtype=None,
        backbone: dict | None = None,
        **head: Any,
    ) -> Self:
        """Loads the task from a model of kerasbert or anybody's.

        The head's weights are loaded when the model has the same head (for a classifier: the same
        classes); otherwise the head is new, and only the encoder is loaded.
        `uninitialized_weights` lists what is new.

        Args:
            preset: as in `Backbone.from_preset`.
            tokenizer: the model's own one with more tokens (`Tokenizer.add_tokens`), for which the
                tables get new rows; None: as stored.
            sequence_length: as in the constructor; None: as stored.
            dtype: a Keras dtype policy; "mixed_bfloat16" computes in bfloat16 and keeps float32
                weights, "bfloat16" makes the weights bfloat16, too.
            backbone: facts of `BackboneConfig` to change, such as `{"dropout": 0.0}`; see
                `Backbone.from_preset` for those that resize tables.
            **head: the constructor's other arguments, such as `classes`; those left out are as
                stored.

        Raises:
            InputError: there is no such model, or it lacks what the head needs.
        """
        stored = checkpoints.load(preset)
        settings = {"tokenizer": tokenizer, "sequence_length": sequence_length, "dtype": dtype}
        return loading.task(cls, stored, backbone=backbone, head=head, **settings)

    @classmethod
    def stored_head(cls, preset: checkpoints.Preset) -> dict:
        """What a stored model's head says about this task's.

        Raises:
            InputError: a setting of another kind, or one that the same task does not have.
        """
        return loading.stored_head(cls, preset)

    def add_tokens(self, tokens, *, special: bool = False) -> Self:
        """Makes a copy that knows more tokens, such as the markers of entities.

        The tables of the copy have a new row for each token that the vocabulary lacks. All other
        weights are the same. The copy is not compiled, and nothing in it is frozen.

        Args:
            tokens: as in `Tokenizer.add_tokens`.
            special: as in `Tokenizer.add_tokens`.

        Returns:
            The copy; this task stays as it is.
        """
        return loading.with_tokens(self, tokens, special=special)

    # === Export ===

    def export(self, path: str | os.PathLike, *, check: bool = True, overwrite: bool = False):
        """Writes a SavedModel that takes raw strings and runs under TensorFlow Serving.

        Its second signature, `tokens`, takes ready features with `lengths`, int32 (batch,), the
        real tokens of each row, in place of the mask, and gives the model's outputs.

        It appears under `path` when it is complete and, unless `check` is off, when its graph, in
        which weights are put together and padding is left out, gives what the model gives layer by
        layer, and a fresh process gives the same answers as this one.

        Args:
            path: the version directory, such as `saved_models/NAME/1`.
            check: compare with the model and in a fresh process (takes some seconds).
            overwrite: replace what is at `path`.

        Raises:
            InputError: `path` exists, or can't be written.
            RuntimeError: the check failed; nothing is left at `path`.
        """
        from kerasbert.tasks import export  # with a SavedModel comes TensorFlow

        export.write(self, path, check=check, overwrite=overwrite)


class _Made(NamedTuple):
    """The preprocessor that a task made last, and the settings that it made it of."""

    settings: tuple
    preprocessor: Any
