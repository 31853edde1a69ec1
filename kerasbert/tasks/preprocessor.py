"""`Preprocessor`: from raw text to batches for a model."""

from __future__ import annotations

import dataclasses
import functools
import numbers
from collections.abc import Callable
from typing import Any, ClassVar

from kerasbert.data import text_batches
from kerasbert.data.inputs import Accepted, checked_size, plain, raw_columns, sample_weights
from kerasbert.data.text_batches import Rows
from kerasbert.errors import InputError
from kerasbert.features import (
    PADDING_MASK,
    SEGMENT_IDS,
    TEXT,
    TEXT_PAIR,
    TOKEN_IDS,
    packed,
    unpacked,
)
from kerasbert.layers.inference import inference_mode
from kerasbert.lazy import tensorflow as tf
from kerasbert.text import TextPacker
from kerasbert.text.packing import few_lengths
from kerasbert.training.strategies import sharded


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Preprocessor:
    """Converts raw text, labels and weights to features and targets of a task's model.

    A task creates its own (`task.preprocessor`) from its current tokenizer and settings. Called
    with text in any form but batches (see `kerasbert.data.inputs`), or with batches of strings in a
    `tf.data` pipeline, it returns features for prediction.

        features = task.preprocessor(["A text.", "Another."])
        batches = tf.data.TextLineDataset("texts.txt").batch(32).map(task.preprocessor)

    Attributes:
        tokenizer: a `kerasbert.text.Tokenizer`.
        sequence_length: maximum tokens per row, with special tokens.
        name: name of the task, for messages.
        row_lengths: lengths to the next of which the longest row of a batch is padded, or empty.
    """

    tokenizer: Any
    sequence_length: int
    name: str = "preprocessor"
    row_lengths: tuple[int, ...] = ()

    #: Raw columns that belong together, and the alternatives that are accepted.
    text_columns: ClassVar[Accepted] = ((TEXT,),)

    #: Addition to the message about other columns.
    columns_hint: ClassVar[str] = ""

    #: Whether the outputs or targets of a row depend on the other rows of its batch.
    compares_rows: ClassVar[bool] = False

    #: Whether an example can be several rows; calls and `tf.data.Dataset`s then need features.
    reads_windows: ClassVar[bool] = False

    def __call__(self, x: Any) -> dict[str, Any]:
        """Returns features of text, for prediction.

        Raises:
            InputError: the text has an unsupported form, or the task cuts texts into windows.
        """
        if self.reads_windows:
            raise InputError(
                f"{self.name} splits texts into windows: pass text to predict; a direct call takes "
                "features only"
            )
        # In a user's function, AutoGraph would warn about code that it cannot convert.
        return tf.autograph.experimental.do_not_convert(self._features_of)(x)

    def _features_of(self, x) -> dict:
        columns = self.columns(x)
        columns = {key: text_batches.text_tensor(key, column) for key, column in columns.items()}
        return self.features(**columns)

    # === Rows ===

    def columns(self, x: Any) -> dict[str, Any]:
        """Returns text in any form but batches as columns by key; see `kerasbert.data.inputs`."""
        return raw_columns(x, self.text_columns, self.name, self.columns_hint)

    def labels(self, y: Any, columns: dict[str, Any]) -> Any:
        """Converts labels to targets of the loss, or to what `rows` needs.

        Args:
            y: labels in any form.
            columns: raw columns of their examples.

        Raises:
            InputError: a label is invalid.
        """
        return plain(y)

    def targets(self, y: Any, row: dict[str, Any]) -> Any:
        """Like `labels`, for a batch of a `tf.data.Dataset`, in the graph."""
        return y

    def rows(self, x: Any, y: Any = None, sample_weight: Any = None) -> Rows:
        """Converts raw examples to the rows that are batched; by default one row per example.

        Tasks that read long examples cut them into several rows.

        Args:
            x: text in any form but batches, or rows.
            y: labels, or None.
            sample_weight: weights, or None.

        Returns:
            Rows with targets.

        Raises:
            InputError: text, labels or weights are invalid, or differ in length.
        """
        if isinstance(x, Rows):
            return x
        columns = self.columns(x)
        y = None if y is None else self.labels(y, columns)
        if sample_weight is not None:
            sample_weight = sample_weights(sample_weight)
        return Rows(columns, y, sample_weight)

    def weighted(self, rows: Rows, class_weight: Any) -> tuple[Rows, Any]:
        """Multiplies the rows' weights by class weights, or leaves these to Keras.

        Args:
            rows: the result of `rows`.
            class_weight: as in `fit`, or None.

        Returns:
            The rows, and the `class_weight` for Keras's `fit`.
        """
        return rows, class_weight

    def split(self, x: Any, y: Any, sample_weight: Any, fraction: float) -> tuple[Any, ...]:
        """Splits off the last `fraction` of the examples as Keras does; None if it is 0."""
        if not fraction:
            return x, y, sample_weight, None
        if not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
            raise InputError(f"validation_split must be between 0 and 1, found {fraction}")
        y, sample_weight = (None if z is None else plain(z) for z in (y, sample_weight))
        first, second = text_batches.split(self.columns(x), y, sample_weight, fraction)
        return *first, second

    # === From rows to features, in the graph ===

    def features(self, text: Any, text_pair: Any = None) -> dict[str, Any]:
        """Returns features of a batch of strings, (batch,), for prediction."""
        return self.packer(text, text_pair)

    def sequences(self, **columns: Any) -> dict[str, Any]:
        """Returns the tokens that the model reads of rows of strings, (batch, sequences, tokens).

        A row has one sequence, or one for each chunk, window or choice.
        """
        features = self.features(**columns)
        found = {name: features[name] for name in (TOKEN_IDS, PADDING_MASK, SEGMENT_IDS)}
        if found[TOKEN_IDS].shape.rank == 3:
            return found
        return {name: value[:, tf.newaxis] for name, value in found.items()}

    def training_examples(
        self, number: Any, row: dict[str, Any], y: Any, sample_weight: Any
    ) -> tuple[Any, ...]:
        """Converts a batch of rows to `(features, y, sample_weight)`.

        Args:
            number: int64 scalar, a different one for each batch, as a seed.
            row: columns of the rows, such as `text` and optionally `text_pair`, strings (batch,).
            y: labels of the rows, or None.
            sample_weight: weights, or None.
        """
        return self.features(**row), y, sample_weight

    def serving_signature(self, task: Any) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Returns the names of an export's string inputs, and the function from them to outputs.

        Args:
            task: the model.
        """
        raise NotImplementedError

    @functools.cached_property
    def packer(self) -> TextPacker:
        """Converts strings to features with this tokenizer and length."""
        return TextPacker(self.tokenizer, self.sequence_length, self.row_lengths)

    def with_few_lengths(self) -> Preprocessor:
        """Returns a copy that pads to few lengths, for steps that XLA compiles for every shape."""
        return self._with_few_lengths

    @functools.cached_property
    def _with_few_lengths(self) -> Preprocessor:
        return dataclasses.replace(self, row_lengths=few_lengths(self.sequence_length))

    @property
    def text_room(self) -> int:
        """Maximum tokens of a single text, without special tokens."""
        return self.packer.text_room

    def truncated(self, row: dict[str, Any]) -> Any:
        """Whether the texts of each row are truncated, bool (batch,)."""
        texts = [row[key] for key in (TEXT, TEXT_PAIR) if key in row]
        room = self.text_room if len(texts) == 1 else self.packer.pair_room
        return sum(self.tokenizer.tokenize(text).row_lengths() for text in texts) > room

    def count_truncated(self, rows: Rows) -> int:
        """Returns the number of rows that are truncated; windows never are."""
        if TEXT not in rows.x:
            return 0
        batches = text_batches.convert(
            text_batches.batches(rows, batch_size=1024),
            lambda row, *_: tf.math.count_nonzero(self.truncated(row)),
        )
        return sum(int(count) for count in batches.as_numpy_iterator())

    def traced_outputs(self, columns: tuple[str, ...], task: Any) -> Callable[..., Any]:
        """Returns the traced function from a batch of text columns to a task's outputs."""
        return tf.function(
            inference_mode()(lambda row: task(self.features(**row), training=False)),
            input_signature=[{name: text_batches.dense_spec(name) for name in columns}],
            autograph=False,
        )

    # === From rows to batches ===

    def batches(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        steps: int | None = None,
    ) -> tf.data.Dataset:
        """Returns one pass over examples, as Keras's `fit` and `evaluate` read them.

        Args:
            x: text in any form but a generator or `PyDataset`, or rows.
            y: labels, or None.
            sample_weight: weights, or None.
            batch_size: rows per batch; None: 32.
            shuffle: whether each pass has a new order.
            seed: of batches for training: determines the orders and the random parts, such as
                masks, which change in every pass. None: batches for evaluation, with the same
                random parts in each pass, and rows ordered by length, unless it `compares_rows`.
            steps: of batches for evaluation: the most batches; the first rows are read.
        """
        if hasattr(x, "element_spec"):
            if y is not None or sample_weight is not None:
                raise InputError(
                    f"{self.name}: a tf.data.Dataset brings its labels and weights, as elements "
                    "(x, y) or (x, y, sample_weight); leave y and sample_weight out"
                )
            batches = text_batches.mapped(self.rows_of_dataset(x), self._with_targets)
        else:
            rows = self.rows(x, y, sample_weight)
            if not len(rows):
                raise InputError(f"{self.name}: there are no examples")
            size = checked_size(batch_size)
            if seed is None:
                rows = rows if steps is None else rows.first(steps * size)
                if not self.compares_rows:
                    rows, _ = text_batches.longest_first(rows)
            batches = text_batches.batches(rows, batch_size=size, shuffle=shuffle, seed=seed)
        numbered = text_batches.with_random_numbers(batches, seed)
        return sharded(text_batches.convert(numbered, self._traced_examples))

    def training_batches(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int,
        seed: int = 0,
        start: int = 0,
    ) -> tf.data.Dataset:
        """Returns an endless dataset of examples for `fit`, a pure function of (seed, step).

        Args:
            x: text in any form but batches, or rows.
            y: labels, or None.
            sample_weight: weights, or None.
            batch_size: examples per step; the last batch of an epoch may be smaller.
            seed: seed of the order, which changes in every epoch, and of other randomness.
            start: step of the first batch; any step is reached at once.

        Returns:
            A `tf.data.Dataset` of `(features, y, sample_weight)`, without those that are None.
        """
        rows = self.rows(x, y, sample_weight)
        batches = text_batches.shuffled(rows, batch_size=batch_size, seed=seed, start=start)
        return text_batches.convert(batches, self._traced_examples)

    def prediction_batches(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Converts batches of rows to batches of features."""
        return text_batches.convert(batches, lambda row, *_: self.features(**row))

    def example_batch(
        self, number: int, batch: tuple[Any, ...], class_weight: Any = None
    ) -> tuple[Any, ...]:
        """Converts a batch of text, labels and weights; returns it with Keras's class weights."""
        rows, class_weight = self.weighted(self.rows(*batch), class_weight)
        columns = rows.columns
        parts = (columns.get(name) for name in ("x", "y", "sample_weight"))
        return self._traced_examples(number, tuple(parts)), class_weight

    def batches_of_stream(
        self,
        stream: Any,
        first: Any,
        class_weight: Any = None,
        *,
        shuffle: bool = False,
        seed: int | None = None,
    ) -> tuple[tf.data.Dataset, Any]:
        """Converts a generator or `PyDataset` of text; returns it with Keras's class weights.

        Args:
            stream: a generator or `PyDataset`.
            first: its first batch.
            class_weight: as in `fit`, or None.
            shuffle: whether a `PyDataset`'s batches have a new order in each pass.
            seed: of orders and random parts, as in `batches`.
        """
        _, of_keras = self.weighted(self.rows(*unpacked(first)), class_weight)

        def example(number, batch):
            return self.example_batch(number, unpacked(batch), class_weight)[0]

        return sharded(
            text_batches.of_stream(stream, example, shuffle=shuffle, seed=seed)
        ), of_keras

    def features_of_stream(self, stream: Any) -> tf.data.Dataset:
        """Like `batches_of_stream`, for prediction."""
        if self.reads_windows:
            raise InputError(
                f"{self.name} splits texts into windows: pass them to predict as lists, not as a "
                "generator or PyDataset; a direct call takes features only"
            )
        return text_batches.of_stream(stream, lambda _, batch: self(unpacked(batch)[0]))

    def rows_of_dataset(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Converts a `tf.data.Dataset` of text to batches of rows, with unchecked labels."""
        if self.reads_windows:
            raise InputError(
                f"{self.name} splits texts into windows, so a tf.data.Dataset must hold features; "
                "give text as lists, or batches of text as a generator to fit and evaluate"
            )
        return text_batches.of_dataset(dataset, self.columns)

    def _with_targets(self, row: dict, y, sample_weight) -> tuple:
        return row, None if y is None else self.targets(y, row), sample_weight

    def _traced_examples(self, number, batch: tuple) -> tuple:
        """Computes `training_examples` of a batch of rows, without those that are None."""
        return self._examples_graph(tf.cast(number, tf.int64), batch)

    @functools.cached_property
    def _examples_graph(self) -> Callable:
        return tf.function(
            lambda number, batch: packed(*self.training_examples(number, *batch)),
            reduce_retracing=True,
            autograph=False,
        )
