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
    """Turns raw text, labels and weights into what a task's model reads and learns from.

    A task makes its own (`task.preprocessor`), with the tokenizer and the settings that it has at
    that moment. Called with text in any form but batches (see `kerasbert.data.inputs`), or inside
    somebody's own `tf.data` pipeline with batches of strings, it returns features for prediction.

        features = task.preprocessor(["A text.", "Another."])
        batches = tf.data.TextLineDataset("texts.txt").batch(32).map(task.preprocessor)

    Attributes:
        tokenizer: a `kerasbert.text.Tokenizer`.
        sequence_length: tokens that a row of features may have, special tokens included.
        name: who reads the text, for messages.
    """

    tokenizer: Any
    sequence_length: int
    name: str = "preprocessor"

    #: The columns of raw text that are taken together, and what else is taken in their place.
    text_columns: ClassVar[Accepted] = ((TEXT,),)

    #: What is said to somebody who gives other columns.
    columns_hint: ClassVar[str] = ""

    #: Whether an example may be several rows, so that a call and a `tf.data.Dataset` need features.
    reads_windows: ClassVar[bool] = False

    def __call__(self, x) -> dict:
        """Features of text, for prediction.

        Raises:
            InputError: text in a form that can't be read, or that has to be cut into windows.
        """
        if self.reads_windows:
            raise InputError(
                f"{self.name} cuts texts into windows: predict takes them, a call features"
            )
        # AutoGraph, in a function of somebody's, warns of what it can't rewrite.
        return tf.autograph.experimental.do_not_convert(self._features_of)(x)

    def _features_of(self, x) -> dict:
        columns = self.columns(x)
        columns = {key: text_batches.text_tensor(key, column) for key, column in columns.items()}
        return self.features(**columns)

    # === What a row is ===

    def columns(self, x) -> dict:
        """Text in any form but batches as columns by their keys; see `kerasbert.data.inputs`."""
        return raw_columns(x, self.text_columns, self.name, self.columns_hint)

    def labels(self, y, columns: dict):
        """Labels in any form as the loss takes them, or as `rows` does.

        Args:
            y: labels, as they are given.
            columns: raw columns of their examples.

        Raises:
            InputError: a label that can't be.
        """
        return plain(y)

    def targets(self, y, row: dict):
        """As `labels`, of a batch of a `tf.data.Dataset`; in the graph."""
        return y

    def rows(self, x, y=None, sample_weight=None) -> Rows:
        """Raw examples as the rows that are batched: as they are, one for each.

        A task whose examples may be longer than what it reads at once cuts them into several rows.

        Args:
            x: text in any form but batches, or rows.
            y: labels, or None.
            sample_weight: weights, or None.

        Returns:
            Rows with labels as the loss takes them.

        Raises:
            InputError: text, labels or weights that can't be, or that differ in length.
        """
        if isinstance(x, Rows):
            return x
        columns = self.columns(x)
        y = None if y is None else self.labels(y, columns)
        if sample_weight is not None:
            sample_weight = numbers("sample_weight", sample_weight)
        return Rows(columns, y, sample_weight)

    def weighted(self, rows: Rows, class_weight) -> tuple[Rows, Any]:
        """Rows whose weights are multiplied by those of their classes, and what is left for Keras.

        Args:
            rows: as `rows` gives them.
            class_weight: as `fit` takes it, or None.

        Returns:
            Rows, and the `class_weight` of Keras's `fit`.
        """
        return rows, class_weight

    def split(self, x, y, sample_weight, fraction: float) -> tuple:
        """Examples without the last `fraction` of them, and those, or None: Keras's split."""
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
            number: int64 scalar, another for every batch, for what has to be drawn at random.
            row: the rows' columns, such as `text` and perhaps `text_pair`, string tensors (batch,).
            y: labels as the rows have them, or None.
            sample_weight: as given, or None.
        """
        return self.features(**row), y, sample_weight

    def serving_signature(self, task) -> tuple[tuple[str, ...], Callable]:
        """The names of the string inputs of an export, and the function from them to outputs.

        Args:
            task: the model that answers.
        """
        raise NotImplementedError

    @functools.cached_property
    def packer(self) -> TextPacker:
        """Strings to features with this tokenizer and length."""
        return TextPacker(self.tokenizer, self.sequence_length)

    @property
    def text_room(self) -> int:
        """Tokens of one text that are read, special tokens not counted."""
        return self.packer.text_room

    def truncated(self, row: dict):
        """Which rows of text have more tokens than are read, bool (batch,)."""
        texts = [row[key] for key in (TEXT, TEXT_PAIR) if key in row]
        room = self.text_room if len(texts) == 1 else self.packer.pair_room
        return sum(self.tokenizer.tokenize(text).row_lengths() for text in texts) > room

    def count_truncated(self, rows: Rows) -> int:
        """How many rows have more text than is read of them; windows never do."""
        if TEXT not in rows.x:
            return 0
        batches = text_batches.convert(
            text_batches.batches(rows, batch_size=1024),
            lambda row, *_: tf.math.count_nonzero(self.truncated(row)),
        )
        return sum(int(count) for count in batches.as_numpy_iterator())

    def traced_outputs(self, columns: tuple[str, ...], task) -> Callable:
        """The function from a batch of such columns of text to a task's outputs, traced once."""
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

        With `anew` they are for training: what is random in them changes from epoch to epoch.
        Otherwise their order doesn't matter, and is by length.

        Args:
            x: text in any form but a generator or `PyDataset`, or rows.
            y: labels, or None.
            sample_weight: weights, or None.
            batch_size: rows a batch; None: 32.
            shuffle: a new order at every pass.
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
        """Examples of text for `fit`, without end; a pure function of (seed, step).

        Args:
            x: text in any form but batches, or rows.
            y: labels, or None.
            sample_weight: weights, or None.
            batch_size: examples a step; the last batch of an epoch may have fewer.
            seed: decides the order, another one in every epoch, and what is drawn at random.
            start: the step of the first batch; reaching it costs nothing.

        Returns:
            A `tf.data.Dataset` of `(features, y, sample_weight)`, without what there is not.
        """
        rows = self.rows(x, y, sample_weight)
        batches = text_batches.shuffled(rows, batch_size=batch_size, seed=seed, start=start)
        return text_batches.convert(batches, self._traced_examples)

    def prediction_batches(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Batches of features, of batches of rows."""
        return text_batches.convert(batches, lambda row, *_: self.features(**row))

    def example_batch(self, number: int, batch: tuple, class_weight=None) -> tuple:
        """A batch of text, labels and weights as a batch of examples, and Keras's class weights."""
        rows, class_weight = self.weighted(self.rows(*batch), class_weight)
        columns = rows.columns
        parts = (columns.get(name) for name in ("x", "y", "sample_weight"))
        return self._traced_examples(number, tuple(parts)), class_weight

    def batches_of_stream(
        self, stream, first, class_weight=None, *, shuffle: bool = False
    ) -> tuple[tf.data.Dataset, Any]:
        """The examples of a generator or `PyDataset` of text, and the class weights for Keras.

        Args:
            stream: see above.
            first: its first batch.
            class_weight: as `fit` takes it, or None.
            shuffle: a `PyDataset`'s batches come in another order at every pass.
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
                f"{self.name} cuts texts into windows: predict takes them as lists, not as a "
                "generator or PyDataset, and a call features"
            )
        return text_batches.of_stream(
            stream, lambda batch: self(keras.utils.unpack_x_y_sample_weight(batch)[0])
        )

    def rows_of_dataset(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Batches of rows of a `tf.data.Dataset` of text, without labels that are looked at."""
        if self.reads_windows:
            raise InputError(
                f"{self.name} cuts texts into windows, so a tf.data.Dataset must have features; "
                "give text as lists, or fit and evaluate the batches of a generator"
            )
        return text_batches.of_dataset(dataset, self.columns)

    def _with_targets(self, row: dict, y, sample_weight) -> tuple:
        return row, None if y is None else self.targets(y, row), sample_weight

    def _traced_examples(self, number, batch: tuple) -> tuple:
        """`training_examples` of a batch of rows, without what there is not."""
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
