"""What every task shares beside text as an input type: saving, loading, export.

TensorFlow is imported where text comes in and nowhere else, so that a task on ready features also
runs on other Keras backends.
"""

import dataclasses
import difflib
import functools
import inspect
import os
import pathlib
import typing
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import numpy as np

from kerasbert import checkpoints, schema
from kerasbert import features as keys
from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.errors import InputError
from kerasbert.layers.inference import FrozenWeights, only_inference
from kerasbert.layers.state import (
    WithState,
    freeze,
    is_quantized,
    restore_state,
    state_of,
)
from kerasbert.tasks.cross_entropy import accuracy
from kerasbert.tasks.labels import OTHER_NAMES
from kerasbert.tasks.on_logits import loss_of, metric_of
from kerasbert.tasks.text_model import TextModel
from kerasbert.training.global_batch import ON_TENSORFLOW


class Task(WithState, TextModel):
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
        self.new_weights: list[str] = []
        self.sequence_length = sequence_length or limit
        # Of a task that was made of its config: what its tokenizer was, until its files are there.
        self._tokenizer_config = None

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

    # === What a task says about itself ===

    #: What an only output is called in an export's signature `tokens`.
    output_name = "logits"

    #: The entries of `head_config` that say what the head's weights mean.
    head_facts: tuple[str, ...] = ()

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
        found = {name: [v for v in self.weights if _is_under(v.path, name)] for name in names}
        for name, variables in found.items():
            if not variables:
                tops = dict.fromkeys(v.path.split("/")[0] for v in self.weights)
                raise InputError(f"no weight is called {name!r}; there are {', '.join(tops)}")
        freeze(self, [variable for variables in found.values() for variable in variables])
        return [v.path for v in self.weights if not v.trainable]

    def compile(
        self,
        optimizer,
        loss,
        metrics=None,
        weighted_metrics=None,
        *,
        layer_decay: float | None = None,
        **kwargs,
    ):
        """Keras's `compile`, see `ExactModel`.

        Losses and metrics of Keras, most of which take probabilities, are made for outputs that are
        logits where they are named, such as "sparse_categorical_crossentropy", "accuracy" or "AUC".

        Args:
            optimizer: Keras's.
            loss: Keras's.
            metrics: Keras's; where a text has several places with outputs, some of which do not
                count, such as those of `mask_positions` that no mask uses, they are
                weighted, too.
            weighted_metrics: Keras's.
            layer_decay: every layer, from the head down, learns at so many times the rate of the
                one above it; the embeddings are the lowest (ELECTRA's
                `layerwise_lr_decay`); None: all at the same.
            **kwargs: as in `ExactModel.compile`.

        Raises:
            InputError: a loss or metric of Keras that makes no sense of the outputs.
        """
        if layer_decay is not None and not ON_TENSORFLOW:
            raise InputError("layer_decay needs the TensorFlow backend")
        if self.outputs_for and metrics:
            if weighted_metrics:
                raise InputError(
                    f"metrics of {self.name} are weighted ones, too: leave metrics out, or "
                    "weighted_metrics"
                )
            metrics, weighted_metrics = None, metrics
        super().compile(
            optimizer=optimizer,
            loss=self._losses_on_logits(loss),
            metrics=self._metrics_on_logits(metrics),
            weighted_metrics=self._metrics_on_logits(weighted_metrics),
            **kwargs,
        )
        self.optimizer.rate_factors = {}
        if layer_decay is not None:
            top = len(self.backbone.blocks) + 1
            self.optimizer.rate_factors = {
                v.path: layer_decay ** (top - _depth(v.path, top)) for v in self.weights
            }
        self.layer_decay = layer_decay
        self._forget_graphs()

    def quantize(self, mode=None, config=None, **kwargs):
        """As in `WithState`."""
        super().quantize(mode, config, **kwargs)
        self._forget_graphs()

    def _losses_on_logits(self, loss):
        # A loss that only some places count for is the mean over those.
        reduction = "mean_with_sample_weight" if self.outputs_for else "sum_over_batch_size"

        def one(loss):
            return loss_of(loss, self.outputs_activation, self.name, reduction)

        if isinstance(self.output, dict) and isinstance(loss, str | type):
            return {name: one(loss) for name in self.output}
        return _map_nested(one, loss)

    def _metrics_on_logits(self, metrics):
        def one(metric):
            activation, name = self.outputs_activation, self.name
            return metric_of(metric, activation, name, self.accuracy_metric)

        if metrics and isinstance(self.output, dict) and _are_named(metrics):
            return {name: [one(metric) for metric in metrics] for name in self.output}
        return _map_nested(one, metrics)

    def check_class_weight(self) -> None:
        """Raises `InputError` for examples of several labels, of which Keras takes the highest."""
        if self.outputs_for:
            raise InputError(
                f"class_weight is for examples that have one class each, and {self.name} learns "
                "labels of tokens; give weights of tokens as sample_weight"
            )

    def get_compile_config(self) -> dict:
        """As in `ExactModel`, and `layer_decay`."""
        config = super().get_compile_config()
        if config and self.layer_decay is not None:
            config = {**config, "layer_decay": self.layer_decay}
        return config

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
        """The names of the string inputs of an export, and the function from them to outputs."""
        raise NotImplementedError

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
    def from_preset(
        cls,
        directory: str | os.PathLike,
        *,
        tokenizer=None,
        sequence_length: int | None = None,
        dtype=None,
        backbone: dict | None = None,
        **head: Any,
    ) -> Self:
        """Loads the task from a model of kerasbert or anybody's.

        The head's weights are loaded when the model has the same head (for a classifier: the same
        classes); otherwise the head is new, and only the encoder is loaded. `new_weights` lists
        what is new.

        Args:
            directory: as in `Backbone.from_preset`.
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
        preset = checkpoints.load(directory)
        resize = dict(backbone or {})
        stored_tokenizer = None
        if checkpoints.has_tokenizer(preset.directory):
            stored_tokenizer = checkpoints.load_tokenizer(preset.directory)
        if tokenizer is not None:
            _check_same_tokens(stored_tokenizer, tokenizer, preset.source)
            size = tokenizer.vocabulary_size
            if size > preset.backbone_config().vocabulary_size:
                resize.setdefault("vocabulary_size", size)
        config = preset.backbone_config(**resize)
        if cls.needs_pooler(config):
            config = dataclasses.replace(config, pooler=True)
        encoder = Backbone(config, dtype=dtype)
        stored = cls.stored_head(preset)
        if "classes" in stored.keys() - head.keys():
            preset.check_classes()
        try:
            task = cls(
                encoder,
                tokenizer=stored_tokenizer if tokenizer is None else tokenizer,
                sequence_length=sequence_length or _length(preset, config),
                **{**stored, **head},
            )
        except InputError as error:
            raise InputError(f"{preset.directory}: {error}") from None
        task._load_weights(preset, stored, resize)
        return task

    @classmethod
    def stored_head(cls, preset: checkpoints.Preset) -> dict:
        """What a stored model's head says about this task's.

        Raises:
            InputError: a setting of another kind, or one that the same task does not have.
        """
        task, stored = preset.config.get("task"), preset.config.get("head", {})
        if task not in (cls.__name__, *cls.heads_from):
            return {}
        kind = _stored_kind(cls)
        if task != cls.__name__:
            names = {field.name for field in dataclasses.fields(kind)}
            stored = {name: value for name, value in stored.items() if name in names}
        return dict(schema.check(stored, kind, preset.directory, "head"))

    @classmethod
    def _arguments(cls) -> dict:
        """The constructor's arguments, and what each is unless it is given."""
        makers = [each.__init__ for each in reversed(cls.__mro__) if issubclass(each, Task)]
        known = [inspect.signature(make).parameters.items() for make in makers]
        return {name: argument.default for each in known for name, argument in each}

    def unsaid(self, preset: checkpoints.Preset) -> list[str]:
        """The names of facts that a directory, to which this task was written, does not have.

        Args:
            preset: what has been read from the directory.
        """
        said = {**self._arguments(), **self.stored_head(preset)}
        facts = {"sequence_length": self.sequence_length, **self.head_config()}
        limit = self.backbone.config.max_sequence_length
        said["sequence_length"] = preset.config.get("sequence_length") or limit
        as_backbone = dataclasses.asdict(self.backbone.config)  # what None stands for
        return [
            name
            for name, value in facts.items()
            if _as_text(as_backbone.get(name) if value is None else value)
            != _as_text(as_backbone.get(name) if said[name] is None else said[name])
        ]

    def _load_weights(self, preset: checkpoints.Preset, stored: dict, resize: dict) -> None:
        config = self.head_config()
        facts = [fact for fact in self.head_facts if fact in stored]
        same_head = all(_as_text(config[fact]) == _as_text(stored[fact]) for fact in facts)
        encoder = {id(variable) for variable in self.backbone.weights}
        pooler = [v for v in self.backbone.weights if v.path.startswith("pooler/")]
        head = [v for v in self.weights if id(v) not in encoder]
        body = [v for v in self.backbone.weights if not v.path.startswith("pooler/")]
        optional = [*pooler, *(head if same_head else [])]
        new = preset.assign(body, optional=optional, resize=resize)
        self.new_weights = new if same_head else [*new, *(v.path for v in head)]

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
        from kerasbert.text import tokenizer_from_config

        old = self.packer.tokenizer
        tokenizer = tokenizer_from_config(old.get_config(), old.assets())
        tokenizer.add_tokens(tokens, special=special)
        facts = self.backbone.config
        size = max(facts.vocabulary_size, tokenizer.vocabulary_size)
        config = dataclasses.replace(facts, vocabulary_size=size)
        copy = type(self)(
            Backbone(config, dtype=self.backbone.embeddings.dtype_policy),
            tokenizer=tokenizer,
            sequence_length=self.sequence_length,
            name=self.name,
            **self.head_config(),
        )
        weights = self.plain_weights()
        stored = {"backbone": dataclasses.asdict(facts)}
        preset = checkpoints.Preset(pathlib.Path(), self.name, "kerasbert", stored, weights)
        preset.assign(copy.weights, resize={"vocabulary_size": size})
        return copy

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
        import tensorflow as tf

        from kerasbert.serving import saved_model

        if self.tokenizer is None:
            raise InputError(f"{self.name} has no tokenizer, so it can't be exported to take text")
        inputs, function = self.serving_signature()
        answering = only_inference(FrozenWeights())
        tokens = {
            name: tf.TensorSpec(shape, tf.int32, name=name)
            for name, shape in self._token_inputs().items()
        }
        metadata = {
            "task": type(self).__name__,
            "inputs": inputs,
            "sequence_length": self.sequence_length,
            "tokenizer": self.tokenizer.get_config(),
            **self.head_config(),
        }
        saved_model.write(
            path,
            answering(function),
            inputs,
            metadata,
            resources=self.tokenizer.resources,
            signatures={"tokens": (tokens, answering(self._of_tokens))},
            examples={"tokens": self._example()} if check else {},
            check=check,
            overwrite=overwrite,
        )

    def _token_inputs(self) -> dict[str, tuple]:
        """The shapes of ready features, with lengths for the mask.

        A server that puts requests of different lengths together fills every tensor up with its
        own first element, so that a mask would be wrong.
        """
        shapes = {feature.name: tuple(feature.shape) for feature in self.inputs}
        rows = shapes.pop(keys.PADDING_MASK)[:-1]
        return {**shapes, keys.LENGTHS: rows}

    def _example(self) -> tuple[dict, Callable[..., dict], float]:
        """Random features for the signature `tokens`, and how the layers compute them, plainly.

        No token of them is padding, of which outputs are not defined. Also the share by which
        outputs of another order of computing may differ.
        """
        import tensorflow as tf

        numbers = np.random.default_rng(0)
        facts, length = self.backbone.config, min(16, self.sequence_length)
        highest = {
            keys.TOKEN_IDS: facts.vocabulary_size,
            keys.SEGMENT_IDS: max(1, facts.num_segments),
            keys.MASK_POSITIONS: length,
        }
        shapes = self._token_inputs()
        rows = [3, *([2] * (len(shapes[keys.LENGTHS]) - 1))]
        features = {keys.LENGTHS: np.full(rows, length)}
        for name in shapes.keys() - features.keys():
            features[name] = numbers.integers(0, highest[name], (*rows, length))
        features = {name: tf.constant(value, tf.int32) for name, value in features.items()}
        layers = self._flatten_layers()
        rough = any(is_quantized(one) or "16" in (one.compute_dtype or "") for one in layers)
        return features, self._of_tokens, 0.03 if rough else 1e-3

    def _of_tokens(self, lengths, **features) -> dict:
        """The model's outputs by name, float32."""
        import tensorflow as tf

        width = tf.shape(features[keys.TOKEN_IDS])[-1]
        features[keys.PADDING_MASK] = tf.sequence_mask(lengths, width, tf.int32)
        outputs = self(features, training=False)
        outputs = outputs if isinstance(outputs, dict) else {self.output_name: outputs}
        return {name: tf.cast(output, tf.float32) for name, output in outputs.items()}


def _as_text(fact):
    """A fact of a head to compare: class names are strings, whatever a file spells them as."""
    return [str(name) for name in fact] if isinstance(fact, list | tuple) else fact


def _is_under(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name.rstrip('/')}/")


def _depth(path: str, top: int) -> int:
    """How far up a weight is: the embeddings 0, the head and the pooler `top`."""
    part = path.split("/")[0]
    if part == "embeddings":
        return 0
    return int(part.removeprefix("layer_")) + 1 if part.startswith("layer_") else top


# What a stored head says in another way than the constructor takes it. Of models that were stored
# long ago classes may be numbers, and those that had not seen a text have no `pair`.
_STORED = {"classes": list[str | int], "pair": bool | None}


@functools.cache
def _stored_kind(task: type[Task]) -> type:
    """What a stored head is: the constructor's arguments beyond backbone and text, none needed."""
    hints = {}
    for each in reversed(task.__mro__):
        if issubclass(each, Task) and each is not Task:
            hints |= typing.get_type_hints(each.__init__)
    shared = inspect.signature(Task.__init__).parameters
    kinds = {name: _STORED.get(name, hint) for name, hint in hints.items() if name not in shared}
    return dataclasses.make_dataclass("Head", [(*each, None) for each in kinds.items()])


def _length(preset: checkpoints.Preset, config: BackboneConfig) -> int | None:
    """The stored sequence length, as far as a backbone that may be another one goes."""
    length, limit = preset.config.get("sequence_length"), config.max_sequence_length
    if limit == preset.facts.get("max_sequence_length"):
        return length
    return None if length in (None, preset.facts.get("max_sequence_length")) else min(length, limit)


def _map_nested(function: Callable, structure):
    """What a function makes of everything in dicts, lists and tuples; None stays None."""
    if isinstance(structure, dict):
        return {key: _map_nested(function, value) for key, value in structure.items()}
    if isinstance(structure, list | tuple):
        return [_map_nested(function, value) for value in structure]
    return None if structure is None else function(structure)


def _are_named(metrics) -> bool:
    """Whether it is a list of what can be made once for every output."""
    return isinstance(metrics, list | tuple) and all(isinstance(one, str | type) for one in metrics)


def _check_arguments(task: type[Task], arguments: dict) -> None:
    """Raises `InputError` for an argument that a task does not have, and names the nearest."""
    makers = [each.__init__ for each in task.__mro__ if issubclass(each, Task)]
    parameters = [p for make in makers for p in inspect.signature(make).parameters.values()]
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
    known -= {"self", "inputs", "outputs"}
    for name in arguments:
        if name in known:
            continue
        takes_classes = name in OTHER_NAMES and "classes" in known
        near = ["classes"] if takes_classes else difflib.get_close_matches(name, known, 1)
        advice = f"; it is {near[0]} here" if near else f"; it has {', '.join(sorted(known))}"
        raise InputError(f"{task.__name__} has no argument {name}{advice}")


def _check_same_tokens(stored, tokenizer, source: str) -> None:
    """Raises `InputError` where tokens would get the rows of others."""
    pieces = stored.vocabulary if stored is not None else ()
    for id, (piece, found) in enumerate(zip(pieces, tokenizer.vocabulary, strict=False)):
        if piece != found:
            raise InputError(
                f"{source}: its token with the id {id} is {piece!r}, the given tokenizer's "
                f"{found!r}; give the tokenizer of this model, with tokens added to it"
            )


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
