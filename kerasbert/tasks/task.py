"""What every task shares beside text as an input type: saving, loading, export.

TensorFlow is imported where text comes in and nowhere else, so that a task on ready features also
runs on other Keras backends.
"""

import dataclasses
import difflib
import inspect
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import keras

from kerasbert import _compat, checkpoints, renamed
from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.errors import InputError
from kerasbert.layers.state import (
    TrainableStateMixin,
    freeze,
    restore_state,
    state_of,
)
from kerasbert.tasks import loading
from kerasbert.tasks.compiling import CompiledOnLogits
from kerasbert.tasks.cross_entropy import accuracy
from kerasbert.tasks.labels import OTHER_NAMES


class Task(TrainableStateMixin, CompiledOnLogits):
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
        # Of a task that was made of its config: what its tokenizer was, until its files are there.
        self._tokenizer_config = None
        self._made_preprocessor = _Made((), None)

    def __new__(cls, *args, **kwargs):
        """Refuses arguments that other libraries have, and says what they are called here."""
        _check_arguments(cls, kwargs)
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
            _check_tokenizer(tokenizer, self.backbone.config)
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

    @property
    def trainable_weights(self):
        """As Keras has it, less a pooler that the head does not use."""
        return self._in_use(super().trainable_weights)

    @property
    def trainable_variables(self):
        """As Keras has it, less a pooler that the head does not use."""
        return self._in_use(super().trainable_variables)

    def _in_use(self, variables: list) -> list:
        # A weight without a gradient would make Keras warn at every fit.
        if self.needs_pooler(self.backbone.config):
            return variables
        return [variable for variable in variables if not variable.path.startswith("pooler/")]

    # === Which weights learn, and how fast ===

    def freeze(self, layers: int = 0, names: Sequence[str] = ()) -> list[str]:
        """Keeps weights as they are in training; to be called before `compile`.

        `trainable = True`, of the task or of a layer, makes them train again.

        Args:
            layers: the embeddings and so many layers from the bottom.
            names: beginnings of the paths of weights, such as "layer_0" or "layer_0/attention".

        Returns:
            The paths of the weights that stay.

        Raises:
            InputError: there are fewer layers, or no weight with such a name.
        """
        blocks = self.backbone.blocks
        if not 0 <= layers <= len(blocks):
            raise InputError(f"{self.name} has {len(blocks)} layers, so {layers} can't be frozen")
        names = list(names)
        if layers:
            names += ["embeddings", *(f"layer_{index}" for index in range(layers))]
        variables_of = {
            name: [v for v in self.weights if _is_under(v.path, name)] for name in names
        }
        for name, variables in variables_of.items():
            if not variables:
                tops = dict.fromkeys(v.path.split("/")[0] for v in self.weights)
                raise InputError(f"no weight is called {name!r}; there are {', '.join(tops)}")
        freeze(self, [variable for variables in variables_of.values() for variable in variables])
        return [v.path for v in self.weights if not v.trainable]

    def quantize(self, mode=None, config=None, **kwargs):
        """As in `TrainableStateMixin`."""
        super().quantize(mode, config, **kwargs)
        self._forget_graphs()

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


def _is_under(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name.rstrip('/')}/")


def _check_arguments(task: type[Task], arguments: dict) -> None:
    """Raises `InputError` for an argument that a task does not have, and names the nearest."""
    signatures = map(inspect.signature, loading.constructors(task))
    parameters = [p for signature in signatures for p in signature.parameters.values()]
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    known -= {"self", "inputs", "outputs"}
    for name in arguments:
        if name in known:
            continue
        takes_classes = name in OTHER_NAMES and "classes" in known
        near = ["classes"] if takes_classes else difflib.get_close_matches(name, known, 1)
        advice = f"; it is {near[0]} here" if near else f"; it has {', '.join(sorted(known))}"
        raise InputError(f"{task.__name__} has no argument {name}{advice}")


def _check_tokenizer(tokenizer, config: BackboneConfig) -> None:
    size = tokenizer.vocabulary_size
    # Fewer are legal: some tables are filled up to a round number.
    if size > config.vocabulary_size:
        raise InputError(
            f"the tokenizer has {size} pieces, the backbone {config.vocabulary_size} token "
            f"embeddings; from_preset(..., backbone={{'vocabulary_size': {size}}}) resizes them"
        )
    if config.positions == "learned_offset" and tokenizer.pad_id != config.padding_id:
        raise InputError(
            f"the tokenizer's padding has the id {tokenizer.pad_id}, the backbone's positions are "
            f"made for {config.padding_id}"
        )
