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
        sequence_length: the maximum number of tokens per row; longer texts are truncated. None:
            the backbone's maximum.
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
        """Rejects unknown arguments with an `InputError` that suggests the right name."""
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
        """The `Preprocessor` that turns raw text into features; None without a tokenizer.

        It is rebuilt when the tokenizer, `sequence_length`, `head_config` or the compiled loss has
        changed.
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
                f"{self.name} was created from a config alone, which has no vocabulary: load the "
                ".keras file or a preset, or set tokenizer"
            )
        return super()._text

    # === What a task says about itself ===

    #: The name of a single output in the `tokens` signature of an export.
    output_name = "logits"

    #: Keys of `head_config` that must equal the stored ones for the head's weights to be loaded.
    head_arguments: tuple[str, ...] = ()

    #: Class names of other tasks whose stored head, or a part of it, fits this task.
    heads_from: tuple[str, ...] = ()

    #: The kind of outputs, for losses, metrics and distillation: "classes" (softmax logits),
    #: "tokens" (softmax logits over positions), "labels" (one sigmoid each), "numbers", "vector";
    #: None: another kind.
    outputs_are: str | None = "classes"

    #: The feature with one entry per output, such as `padding_mask`; None: one output per text.
    outputs_for: str | None = None

    @property
    def outputs_activation(self) -> str | None:
        """The activation that turns outputs into probabilities; None if they are not logits."""
        by_kind = {"classes": "softmax", "tokens": "softmax", "labels": "sigmoid"}
        return by_kind.get(self.outputs_are)

    def accuracy_metric(self, name: str) -> keras.metrics.Metric | str | None:
        """The metric that "accuracy" stands for, with this name; None: there is none."""
        if self.outputs_activation != "softmax":
            return None
        return accuracy(name) if self.outputs_for else name

    @classmethod
    def needs_pooler(cls, config: BackboneConfig) -> bool:
        """Whether the head reads the pooled output of a backbone with this config."""
        return False

    def head_config(self) -> dict:
        """The task's own constructor arguments, as JSON types; they are saved with the model.

        All but `backbone`, `tokenizer`, `sequence_length` and `name`.
        """
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
            From each weight's Keras path to its name in the file.

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
        """Loads the task from a model in any supported format.

        The head's weights are loaded when the model has the same head (for a classifier: the same
        classes); otherwise the head is new, and only the encoder is loaded.
        `uninitialized_weights` lists the weights that were not loaded.

        Args:
            preset: as in `Backbone.from_preset`.
            tokenizer: the model's own one with more tokens (`Tokenizer.add_tokens`), for which the
                tables get new rows; None: as stored.
            sequence_length: as in the constructor; None: as stored.
            dtype: a Keras dtype policy; "mixed_bfloat16" computes in bfloat16 and keeps float32
                weights, "bfloat16" makes the weights bfloat16, too.
            backbone: arguments of `BackboneConfig` to change, such as `{"dropout": 0.0}`; see
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
        """The stored head settings that fit this task; empty for an unrelated task.

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

        The export appears under `path` only when it is complete. With `check`, its optimized graph
        (merged weights, no padding) must first give the outputs of the model run layer by layer,
        and a fresh process must give the same answers.

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
