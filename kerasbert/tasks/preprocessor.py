"""Raw text -> batches of what a model reads and learns from."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import keras

from kerasbert.data import text_batches
from kerasbert.data.inputs import Accepted, checked_size, numbers, plain, raw_columns
from kerasbert.data.text_batches import Rows
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_PAIR
from kerasbert.layers.inference import inference_mode
from kerasbert.lazy import tensorflow as tf
from kerasbert.text import TextPacker
from kerasbert.training.strategies import sharded


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Preprocessor:
    """Turns raw text, labels and weights into the batches that a task trains on.

    A task makes its own (`task.preprocessor`), with the tokenizer and the settings that it has at
    that moment. Called with text in any form but batches (see `kerasbert.data.inputs`), or inside
    somebody's own `tf.data` pipeline with batches of strings, it returns features for prediction.

        features = task.preprocessor(["A text.", "Another."])
        batches = tf.data.TextLineDataset("texts.txt").batch(32).map(task.preprocessor)

    Attributes:
        tokenizer: a `kerasbert.text.Tokenizer`.
        sequence_length: the maximum number of tokens per row, including special tokens.
        name: the task's name, for messages.
    """

    tokenizer: Any
    sequence_length: int
    name: str = "preprocessor"

    #: The accepted combinations of raw columns, such as `(("text",), ("text", "text_pair"))`.
    text_columns: ClassVar[Accepted] = ((TEXT,),)

    #: Added to the message when other columns are given.
    columns_hint: ClassVar[str] = ""

    #: Whether an example may become several rows (windows); a direct call and a `tf.data.Dataset`
    #: then take ready features only.
    reads_windows: ClassVar[bool] = False

    def __call__(self, x) -> dict:
        """Features of text, for prediction.

        Raises:
            InputError: text of an unsupported form, or text that must be split into windows.
        """
        if self.reads_windows:
            raise InputError(
                f"{self.name} splits texts into windows: pass text to predict; a direct call takes "
                "features only"
            )
        # In a function of the user's, AutoGraph would warn of code that it cannot rewrite.
        return tf.autograph.experimental.do_not_convert(self._features_of)(x)

    def _features_of(self, x) -> dict:
        columns = self.columns(x)
        columns = {key: text_batches.text_tensor(key, column) for key, column in columns.items()}
        return self.features(**columns)

    # === From examples to rows ===

    def columns(self, x) -> dict:
        """Converts text in any form but batches to columns; see `kerasbert.data.inputs`."""
        return raw_columns(x, self.text_columns, self.name, self.columns_hint)

    def labels(self, y, columns: dict):
        """Converts labels to the targets that the loss takes (or that `rows` converts further).

        Args:
            y: labels, as the user gives them.
            columns: the raw columns of their examples.

        Raises:
            InputError: an invalid label.
        """
        return plain(y)

    def targets(self, y, row: dict):
        """As `labels`, for a batch of a `tf.data.Dataset`; runs in the graph."""
        return y

    def rows(self, x, y=None, sample_weight=None) -> Rows:
        """Converts raw examples to the rows that are batched, here one row per example.

        Tasks with windows override this: a long example becomes several rows.

        Args:
            x: text in any form but batches, or rows.
            y: labels, or None.
            sample_weight: weights, or None.

        Returns:
            Rows with targets.

        Raises:
            InputError: invalid text, labels or weights, or different numbers of them.
        """
        if isinstance(x, Rows):
            return x
        columns = self.columns(x)
        y = None if y is None else self.labels(y, columns)
        if sample_weight is not None:
            sample_weight = numbers("sample_weight", sample_weight)
        return Rows(columns, y, sample_weight)

    def weighted(self, rows: Rows, class_weight) -> tuple[Rows, Any]:
        """Applies class weights to the rows' sample weights, where Keras cannot do it.

        Args:
            rows: from `rows`.
            class_weight: as in `fit`, or None.

        Returns:
            The rows, and the `class_weight` to pass on to Keras.
        """
        return rows, class_weight

    def split(self, x, y, sample_weight, fraction: float) -> tuple:
        """Splits off the last `fraction` of the examples, as Keras does; None if it is 0."""
        if not fraction:
            return x, y, sample_weight, None
        if not 0 < fraction < 1:
            raise InputError(f"validation_split must be between 0 and 1, found {fraction}")
        y, sample_weight = (None if z is None else plain(z) for z in (y, sample_weight))
        first, second = text_batches.split(self.columns(x), y, sample_weight, fraction)
        return *first, second

    # === From rows to features, in the graph ===

    def features(self, text, text_pair=None) -> dict:
        """Features of a batch of strings, (batch,), for prediction."""
        return self.packer(text, text_pair)

    def training_examples(self, number, row: dict, y, sample_weight) -> tuple:
        """Turns a batch of rows into `(features, y, sample_weight)`.

        Args:
            number: int64 scalar, different for every batch: the seed of anything random.
            row: the rows' columns, such as `text` and `text_pair`, string tensors (batch,).
            y: targets of the rows, or None.
            sample_weight: float (batch,), or None.
        """
        return self.features(**row), y, sample_weight

    def serving_signature(self, task) -> tuple[tuple[str, ...], Callable]:
        """The names of an export's string inputs, and the function from them to outputs.

        Args:
            task: the model to export.
        """
        raise NotImplementedError

    @functools.cached_property
    def packer(self) -> TextPacker:
        """Converts strings to features with this tokenizer and length."""
        return TextPacker(self.tokenizer, self.sequence_length)

    @property
    def text_room(self) -> int:
        """The maximum number of tokens of a single text, without special tokens."""
        return self.packer.text_room

    def truncated(self, row: dict):
        """Which rows are truncated, bool (batch,)."""
        texts = [row[key] for key in (TEXT, TEXT_PAIR) if key in row]
        room = self.text_room if len(texts) == 1 else self.packer.pair_room
        return sum(self.tokenizer.tokenize(text).row_lengths() for text in texts) > room

    def count_truncated(self, rows: Rows) -> int:
        """The number of truncated rows; 0 for windows."""
        if TEXT not in rows.x:
            return 0
        batches = text_batches.convert(
            text_batches.batches(rows, batch_size=1024),
            lambda row, *_: tf.math.count_nonzero(self.truncated(row)),
        )
        return sum(int(count) for count in batches.as_numpy_iterator())

    def traced_outputs(self, columns: tuple[str, ...], task) -> Callable:
        """A traced function from a batch of these text columns to the task's outputs."""
        return tf.function(
            inference_mode()(lambda row: task(self.features(**row), training=False)),
            input_signature=[{name: text_batches.dense_spec(name) for name in columns}],
            autograph=False,
        )

    # === From rows to batches ===

    def batches(
        self, x, y=None, sample_weight=None, batch_size=None, *, shuffle=False, anew=False
    ) -> tf.data.Dataset:
        """One pass over examples, as Keras's `fit` and `evaluate` read them.

        With `anew` (training), random values such as masks change from epoch to epoch. Otherwise
        they stay the same, and rows are sorted by length.

        Args:
            x: text in any form but a generator or `PyDataset`, or rows.
            y: labels, or None.
            sample_weight: weights, or None.
            batch_size: rows per batch; None: 32.
            shuffle: a new order in every pass.
            anew: see above.
        """
        if hasattr(x, "element_spec"):
            batches = text_batches.mapped(self.rows_of_dataset(x), self._with_targets)
        else:
            rows = self.rows(x, y, sample_weight)
            if not len(rows):
                raise InputError(f"{self.name}: there are no examples")
            if not anew:
                rows, _ = text_batches.longest_first(rows)
            size = checked_size(batch_size)
            batches = text_batches.batches(rows, batch_size=size, shuffle=shuffle)
        numbered = text_batches.with_random_numbers(batches, anew)
        return sharded(text_batches.convert(numbered, self._traced_examples))

    def training_batches(
        self, x, y=None, sample_weight=None, *, batch_size: int, seed: int = 0, start: int = 0
    ) -> tf.data.Dataset:
        """Endless training batches of text for `fit`; a pure function of (seed, step).

        Args:
            x: text in any form but batches, or rows.
            y: labels, or None.
            sample_weight: weights, or None.
            batch_size: examples per step; the last batch of an epoch may have fewer.
            seed: for the order, which is new in every epoch, and all other randomness.
            start: the step of the first batch; skipping earlier ones costs nothing.

        Returns:
            A `tf.data.Dataset` of `(features, y, sample_weight)`, without the absent ones.
        """
        rows = self.rows(x, y, sample_weight)
        batches = text_batches.shuffled(rows, batch_size=batch_size, seed=seed, start=start)
        return text_batches.convert(batches, self._traced_examples)

    def prediction_batches(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Converts batches of rows to batches of features."""
        return text_batches.convert(batches, lambda row, *_: self.features(**row))

    def example_batch(self, number: int, batch: tuple, class_weight=None) -> tuple:
        """Converts one batch of text, labels and weights; returns it with Keras's class weights."""
        rows, class_weight = self.weighted(self.rows(*batch), class_weight)
        columns = rows.columns
        parts = (columns.get(name) for name in ("x", "y", "sample_weight"))
        return self._traced_examples(number, tuple(parts)), class_weight

    def batches_of_stream(
        self, stream, first, class_weight=None, *, shuffle: bool = False
    ) -> tuple[tf.data.Dataset, Any]:
        """The examples of a generator or `PyDataset` of text, and the class weights for Keras.

        Args:
            stream: the generator or `PyDataset`.
            first: its first batch.
            class_weight: as in `fit`, or None.
            shuffle: a new order of a `PyDataset`'s batches in every pass.
        """
        number = itertools.count()
        first = self.rows(*keras.utils.unpack_x_y_sample_weight(first))
        _, of_keras = self.weighted(first, class_weight)

        def example(batch):
            batch = keras.utils.unpack_x_y_sample_weight(batch)
            return self.example_batch(next(number), batch, class_weight)[0]

        return sharded(text_batches.of_stream(stream, example, shuffle=shuffle)), of_keras

    def features_of_stream(self, stream) -> tf.data.Dataset:
        """As `batches_of_stream`, for prediction."""
        if self.reads_windows:
            raise InputError(
                f"{self.name} splits texts into windows: pass them to predict as lists, not as a "
                "generator or PyDataset; a direct call takes features only"
            )
        return text_batches.of_stream(
            stream, lambda batch: self(keras.utils.unpack_x_y_sample_weight(batch)[0])
        )

    def rows_of_dataset(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Converts a `tf.data.Dataset` of text to batches of rows; labels are passed through."""
        if self.reads_windows:
            raise InputError(
                f"{self.name} splits texts into windows, so a tf.data.Dataset must hold features; "
                "give text as lists, or batches of text as a generator to fit and evaluate"
            )
        return text_batches.of_dataset(dataset, self.columns)

    def _with_targets(self, row: dict, y, sample_weight) -> tuple:
        return row, None if y is None else self.targets(y, row), sample_weight

    def _traced_examples(self, number, batch: tuple) -> tuple:
        """Runs `training_examples` in a graph, without trailing Nones."""
        return self._examples_graph(tf.cast(number, tf.int64), batch)

    @functools.cached_property
    def _examples_graph(self) -> Callable:
        return tf.function(
            lambda number, batch: _without_none(self.training_examples(number, *batch)),
            reduce_retracing=True,
            autograph=False,
        )


def _without_none(example: tuple) -> tuple:
    """Keras wants (x,), (x, y) or (x, y, w)."""
    while example[-1] is None:
        example = example[:-1]
    return example
