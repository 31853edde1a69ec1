"""`Task`, a model that takes raw strings: presets, preprocessing and export.

TensorFlow is only imported for text, so that a task on ready features also runs on other Keras
backends.
"""

import dataclasses
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import keras

from kerasbert import _compat, checkpoints, renamed
from kerasbert.backbone import Backbone, BackboneConfig
from kerasbert.config import check_sequence_length, check_tokenizer
from kerasbert.errors import InputError
from kerasbert.tasks import loading, summaries
from kerasbert.tasks.checks import check_arguments
from kerasbert.tasks.compiling import CompiledOnLogits
from kerasbert.tasks.cross_entropy import accuracy
from kerasbert.tasks.serialization import SerializableMixin
from kerasbert.tasks.trainable import TrainableWeightsMixin
from kerasbert.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from kerasbert.tasks.preprocessor import Preprocessor


class Task(SerializableMixin, TrainableWeightsMixin, CompiledOnLogits):
    """A functional Keras model with a backbone and a head that also takes raw strings.

    `fit`, `evaluate`, `predict`, their `..._on_batch` variants and calls are Keras's. In addition
    to ready features (a dict of `token_ids`, `padding_mask` and `segment_ids`, int32 (batch,
    sequence)), `x` can be text:

    - a string (a batch of one), or a list, array, tensor or series of strings;
    - for several columns, such as `text` and `text_pair`, a dict, a table, a tuple of columns, or a
      list of dicts or of tuples;
    - batches of these, alone or as `(x, y)` or `(x, y, sample_weight)`: a `tf.data.Dataset`, a
      generator, or a Keras `PyDataset`.

    Other methods that take text accept the same forms, except batches.

    Examples:
        What all tasks have, shown with a `TextClassifier`:

        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "fine", "day"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> config = kerasbert.BackboneConfig.from_preset("bert_tiny", vocabulary_size=len(words))
        >>> task = kerasbert.TextClassifier(
        ...     kerasbert.Backbone(config), ["bad", "good"], tokenizer=tokenizer, sequence_length=64
        ... )
        >>> isinstance(task, kerasbert.tasks.Task), task.backbone.config.num_layers
        (True, 2)
        >>> task.predict(["a fine day", "a dull day"], verbose=0).shape
        (2, 2)

    Args:
        backbone: the encoder.
        inputs: symbolic features.
        outputs: symbolic outputs.
        tokenizer: a `kerasbert.text.Tokenizer`; None: the task only takes features.
        sequence_length: maximum tokens per row, with special tokens; longer texts are truncated.
            None: the backbone's maximum.
        name: model name.

    Raises:
        InputError: the length or the tokenizer does not suit the backbone, or an argument is
            unknown.
    """

    def __init__(
        self,
        backbone: Backbone,
        inputs: Any,
        outputs: Any,
        *,
        tokenizer: Tokenizer | None,
        sequence_length: int | None,
        name: str | None,
    ):
        if sequence_length is not None:
            check_sequence_length(sequence_length, backbone.config)
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        self.backbone = backbone
        self.tokenizer = tokenizer
        #: How its training files were read: options of `kerasbert finetune`, such as `text_column`,
        #: which `kerasbert evaluate` and `predict` use for files with the same columns.
        self.data_format: dict[str, Any] = {}
        self.sequence_length = sequence_length or backbone.config.max_sequence_length
        self._made_preprocessor = _Made((), None)

    def __new__(cls, *args: Any, **kwargs: Any):
        """Raises `InputError` for arguments of other libraries, and names ours."""
        check_arguments(cls, args, kwargs)
        return super().__new__(cls, *args, **kwargs)

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer, a `kerasbert.text.Tokenizer`, or None; can be set.

        Raises:
            InputError: the tokenizer does not match the backbone.

        Examples:
            >>> task.tokenizer(["a fine day"]).to_list()
            [[5, 7, 8]]
        """
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Tokenizer | None) -> None:
        if tokenizer is not None:
            check_tokenizer(tokenizer, self.backbone.config)
            tokenizer.belongs_to(self.name)
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        if name != "new_weights":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        renamed.warn("new_weights", "uninitialized_weights")
        return self.uninitialized_weights

    @property
    def preprocessor(self) -> "Preprocessor | None":
        """The `Preprocessor` from raw text to this task's features; None without a tokenizer.

        It is created from the task's current settings.

        Examples:
            >>> features = task.preprocessor(["a fine day"])
            >>> features["token_ids"].numpy().tolist()
            [[2, 5, 7, 8, 3]]
        """
        if self.tokenizer is None:
            return None
        head = self.head_config()
        settings = (self.tokenizer, self.sequence_length, head, _compat.given_loss(self))
        if self._made_preprocessor.settings != settings:
            self._made_preprocessor = _Made(settings, self.make_preprocessor())
        return self._made_preprocessor.preprocessor

    def make_preprocessor(self) -> "Preprocessor":
        """Creates a preprocessor with this task's tokenizer and settings."""
        from kerasbert.tasks.preprocessor import Preprocessor  # imports TensorFlow

        return Preprocessor(**self._text_settings())

    def _text_settings(self) -> dict:
        """Returns the arguments that all preprocessors have."""
        return {
            "tokenizer": self.tokenizer,
            "sequence_length": self.sequence_length,
            "name": self.name,
        }

    # Why `from_preset` found no tokenizer; "" if it did, or was not used.
    _lacks_tokenizer = ""

    def check_takes_text(self) -> None:
        """Raises `InputError` if there is no tokenizer; the message says why, and what to do."""
        if self.tokenizer is not None:
            return
        if self._tokenizer_config:
            raise InputError(
                f"{self.name} was created from a config alone, which has no vocabulary: load the "
                ".keras file or a preset, or set tokenizer"
            )
        if self._lacks_tokenizer:
            raise InputError(
                f"{self.name} takes features but no text: {self._lacks_tokenizer}; put the "
                "tokenizer's files there, or give from_preset its tokenizer="
            )
        super().check_takes_text()

    def __repr__(self) -> str:
        if not hasattr(self, "_made_preprocessor"):  # Keras may show a model while it is created
            return super().__repr__()
        return summaries.described(self)

    def summary(
        self, line_length: Any = None, positions: Any = None, print_fn: Any = None, **kwargs: Any
    ) -> None:
        """Prints Keras's summary, after the tokenizer and the length of the preprocessor.

        Args:
            line_length: as in Keras.
            positions: as in Keras.
            print_fn: as in Keras; called once more, for the preprocessor.
            **kwargs: as in Keras.

        Examples:
            >>> lines = []
            >>> task.summary(print_fn=lines.append)
            >>> lines[0].splitlines()[0]
            'Preprocessor: "text_classifier"'
        """
        interactive = keras.utils.is_interactive_logging_enabled()
        show = print_fn or (print if interactive else logging.getLogger("absl").info)
        show("\n".join(summaries.preprocessor_lines(self)))
        super().summary(line_length, positions, print_fn, **kwargs)

    # === What subclasses define ===

    #: Name of a single output in an export's signature `tokens`.
    output_name = "logits"

    #: The hub's name of the task, for model cards; None: it has none.
    pipeline_tag: str | None = None

    #: A line of Python that uses `model`, for model cards.
    example_call = 'model.predict(["A text."])'

    #: Entries of `head_config` that define the meaning of the head's weights.
    head_arguments: tuple[str, ...] = ()

    #: Names of other tasks whose head, or a part of it, this task can load.
    heads_from: tuple[str, ...] = ()

    #: Meaning of the outputs' last axis: "classes", logits of a softmax; "tokens", logits of a
    #: softmax over a text's tokens; "labels", logits of sigmoids; "numbers"; "vector"; or None.
    outputs_are: str | None = "classes"

    #: Feature whose positions the outputs belong to; None: there is one output per text.
    outputs_for: str | None = None

    @property
    def outputs_activation(self) -> str | None:
        """Activation that makes outputs probabilities, "softmax" or "sigmoid"; None: no logits."""
        by_kind = {"classes": "softmax", "tokens": "softmax", "labels": "sigmoid"}
        return by_kind.get(self.outputs_are or "")

    def accuracy_metric(self, name: str) -> keras.metrics.Metric | str | None:
        """Returns the metric that Keras's "accuracy" means, with this name; None: there is none.

        Args:
            name: name of the metric.
        """
        if self.outputs_activation != "softmax":
            return None
        return accuracy(name) if self.outputs_for else name

    @classmethod
    def needs_pooler(cls, config: BackboneConfig) -> bool:
        """Whether the head uses the pooled output of such a backbone.

        Args:
            config: the encoder's.
        """
        return False

    def head_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments besides backbone and text, in JSON types.

        Examples:
            >>> task.head_config()["classes"]
            ['bad', 'good']
        """
        return {}

    # === Scores and exports ===

    def score(self, x: Any, y: Any, *, batch_size: int = 32) -> dict[str, float]:
        """Returns the task's official metrics over all examples.

        Unlike `evaluate`, it computes no loss, and its metrics are those of papers and
        leaderboards; each task's `score` names them.

        Args:
            x: text in any form but a dataset.
            y: labels.
            batch_size: rows per batch.

        Returns:
            A dict of floats by name.

        Raises:
            InputError: the task has no official metrics.

        Examples:
            >>> scores = task.score(["a fine day", "a dull day"], ["good", "bad"])
            >>> list(scores)
            ['accuracy', 'macro_f1', 'matthews', 'f1']
        """
        raise InputError(
            f"{self.name} has no official metrics; evaluate returns its loss and metrics"
        )

    def serving_signature(self) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Returns the names of an export's string inputs, and the function from them to outputs.

        See `serving_signature` of the task's preprocessor.

        Examples:
            >>> names, function = task.serving_signature()
            >>> names
            ('text',)
        """
        return self._text.serving_signature(self)

    # === Save and load ===

    def save_to_preset(
        self,
        directory: str | os.PathLike[str],
        *,
        format: str = "kerasbert",
        card: checkpoints.ModelCard | str | None = None,
        overwrite: bool = False,
    ) -> checkpoints.SavedWeights:
        """Writes config, weights, tokenizer and a model card to a directory, atomically.

        Args:
            directory: directory to write.
            format: as in `Backbone.save_to_preset`.
            card: as in `Backbone.save_to_preset`.
            overwrite: as in `Backbone.save_to_preset`.

        Returns:
            A dict from the path of each weight to its name in the file, which shows as one line.

        Raises:
            InputError: `directory` exists and must not be replaced, or the format cannot store
                this model.

        Examples:
            >>> task.save_to_preset("opinions")
            <41 weights saved in opinions>
            >>> task.save_to_preset("opinions", overwrite=True)
            <41 weights saved in opinions>
            >>> names = task.save_to_preset("for_transformers", format="hf")
            >>> names["classifier/kernel"]
            'classifier.weight'
        """
        config = {
            "task": type(self).__name__,
            "backbone": dataclasses.asdict(self.backbone.config),
            "sequence_length": self.sequence_length,
            "head": self.head_config(),
        }
        if self.data_format and format == "kerasbert":
            config["data_format"] = dict(self.data_format)
        if random := self.uninitialized_weights:
            config["uninitialized"] = random
        text = card if isinstance(card, str) else self.card_text(card, format=format)
        names = checkpoints.save(
            directory,
            config,
            self.plain_weights(),
            self.tokenizer,
            format=format,
            card=text,
            overwrite=overwrite,
        )
        if format != "kerasbert":
            self.warn_of_random_weights(f"saved as {format!r}, nothing says that it depends")
        return names

    def card_text(
        self, card: checkpoints.ModelCard | None = None, *, format: str = "kerasbert"
    ) -> str:
        """Returns the model card that `save_to_preset` writes.

        Args:
            card: what is known besides what the model says itself; as in `save_to_preset`.
            format: as in `save_to_preset`.

        Returns:
            The text of the card, Markdown with a header that Hugging Face's hub reads.

        Examples:
            >>> card = kerasbert.checkpoints.ModelCard(license="mit", language=["en"])
            >>> "license: mit" in task.card_text(card)
            True
        """
        return summaries.card_text(self, card, format)

    @classmethod
    @renamed.argument("directory", "preset")
    def from_preset(
        cls,
        preset: str | os.PathLike[str] | checkpoints.Preset,
        *,
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        dtype: Any = None,
        backbone: dict[str, Any] | None = None,
        load_weights: bool = True,
        **head: Any,
    ) -> Self:
        """Loads the task from a model of kerasbert or another library.

        The head's weights are loaded if the model has the same head (for a classifier: the same
        classes). Otherwise the head is initialized at random, and listed in
        `uninitialized_weights` until it is trained: answers, scores and exports of such a model
        warn. So do those of a model whose weights are all random since `load_weights` is False. A
        model that the constructor creates is as random, as any in Keras, and does not warn.

        Without tokenizer files the task takes features only, and text raises `InputError`.

        Args:
            preset: as in `Backbone.from_preset`.
            tokenizer: the model's tokenizer with added tokens (`Tokenizer.add_tokens`), for which
                the tables get new rows; None: as stored.
            sequence_length: as in the constructor; None: as stored.
            dtype: a Keras dtype policy; "mixed_bfloat16" computes in bfloat16 with float32 weights,
                "bfloat16" has bfloat16 weights too.
            backbone: fields of `BackboneConfig` to change, such as `{"dropout": 0.0}`; see
                `Backbone.from_preset` for those that resize tables.
            load_weights: whether to load the weights; otherwise all are initialized at random, with
                the settings and the tokenizer of the model.
            **head: other arguments of the constructor, such as `classes`; by default as stored.

        Returns:
            The task with its weights.

        Raises:
            InputError: there is no such model, or it lacks what the head needs.

        Examples:
            >>> names = task.save_to_preset("classifier")
            >>> same = kerasbert.TextClassifier.from_preset("classifier")
            >>> same.classes == task.classes, same.sequence_length
            (True, 64)

            Any task starts from the encoder of another one. Its own head is new:

            >>> tagger = kerasbert.TokenClassifier.from_preset(
            ...     "classifier", classes=["O", "B-PER"], backbone={"dropout": 0.0}
            ... )
            >>> tagger.uninitialized_weights
            ['token_classifier/kernel', 'token_classifier/bias']

            `hf://` names a model on Hugging Face, which is downloaded once:
            `TextClassifier.from_preset("hf://google-bert/bert-base-uncased", classes=2)`.
        """
        stored = checkpoints.load(preset)
        return loading.task(
            cls,
            stored,
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            dtype=dtype,
            backbone=backbone,
            load_weights=load_weights,
            head=head,
        )

    @classmethod
    def stored_head(cls, preset: checkpoints.Preset) -> dict[str, Any]:
        """Returns the stored arguments of this task's head.

        Args:
            preset: the stored model.

        Raises:
            InputError: a value has the wrong type, or the task has no such argument.
        """
        return loading.stored_head(cls, preset)

    def add_tokens(self, tokens: Any, *, special: bool = False) -> Self:
        """Returns a copy with more tokens in its vocabulary, such as entity markers.

        The copy's tables have a new row for each token that the vocabulary lacks; all other weights
        are equal. The copy is not compiled, and nothing in it is frozen.

        Args:
            tokens: as in `Tokenizer.add_tokens`.
            special: as in `Tokenizer.add_tokens`.

        Returns:
            The copy; this task does not change.

        Examples:
            >>> marked = task.add_tokens(["[E1]", "[/E1]"], special=True)
            >>> marked.tokenizer.vocabulary_size - task.tokenizer.vocabulary_size
            2
        """
        return loading.with_tokens(self, tokens, special=special)

    # === Export ===

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: str = "saved_model",
        precision: str | None = None,
        batch_size: int | None = None,
        length: int | None = None,
        attention: bool = False,
        check: bool = True,
        overwrite: bool = False,
    ) -> None:
        """Writes a SavedModel that takes raw strings, or the model for another runtime.

        A SavedModel's second signature, `tokens`, takes ready features, with `lengths`, int32
        (batch,), the number of unpadded tokens per row, instead of the mask; (batch, choices) for
        `MultipleChoice`, and (batch, chunks) for long texts. `MaskedLM` and `Pretrainer` also need
        `mask_positions`. It returns the model's outputs. The signature `tokenize` takes raw
        strings, and returns the tokens that the model reads. Other formats take ready features;
        `encode.py` and the tokenizer's files, which compute them, lie beside the model (see
        docs/runtimes.md).

        The directory appears when it is complete. Unless `check` is off, the graph must first give
        the outputs of the model run layer by layer, and a fresh process must give the same.

        Args:
            path: directory to write; for TensorFlow Serving, such as `saved_models/NAME/1`.
            format: "saved_model", "onnx", "openvino" or "litert".
            precision: "int8" for int8 weights in ONNX and OpenVINO; None: the model's.
            batch_size: rows of a LiteRT model, whose shapes are fixed; None: 1.
            length: tokens per row of a LiteRT model; None: `sequence_length`.
            attention: whether to add the signature `attention`, which takes raw strings, `layer`
                and `sequence`, and returns the attention weights of each head. A backbone with
                `return_hidden_states` always has it.
            check: whether to compare outputs as above (takes some seconds).
            overwrite: whether to replace an existing export, if nothing else is in it.

        Raises:
            InputError: `path` exists and must not be replaced, or can't be written, or the format
                can't hold the model.
            RuntimeError: a check failed; nothing is written.

        Examples:
            `check=False` saves some seconds here; leave it out for a model that others will use.

            >>> task.export("saved_models/opinions/1", check=False)
            >>> client = kerasbert.serving.SavedModelClient("saved_models/opinions")
            >>> sorted(client(text=["a fine day"])[0])
            ['label', 'labels', 'scores']
        """
        from kerasbert.tasks import export  # imports TensorFlow

        export.write(
            self,
            path,
            format=format,
            precision=precision,
            batch_size=batch_size,
            length=length,
            attention=attention,
            check=check,
            overwrite=overwrite,
        )


class _Made(NamedTuple):
    """The last preprocessor of a task, and the settings that it was created from."""

    settings: tuple
    preprocessor: Any
