"""Text as an input type: Keras's methods on raw strings.

TensorFlow is imported where text comes in and nowhere else, so that a task on ready features also
runs on other Keras backends.
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator

import keras
import numpy as np

from kerasbert import features as keys
from kerasbert.data.inputs import (
    Accepted,
    checked_size,
    is_stream,
    length,
    numbers,
    plain,
    raw_columns,
)
from kerasbert.errors import InputError
from kerasbert.layers.inference import only_inference
from kerasbert.training.global_batch import ExactModel
from kerasbert.training.progress import advance

# Texts of up to so many batches are answered without a pipeline.
_FEW_BATCHES = 8


class TextModel(ExactModel):
    """A Keras model that also takes raw strings; what tasks have in common.

    `fit`, `evaluate`, `predict`, their `..._on_batch` and calls are Keras's own. Beside ready
    features (see `kerasbert.features`) their `x` may be text: a string (a batch of one), or a list,
    array, tensor or series of strings; for several columns (see `text_columns`) a dict, a table, a
    tuple of columns, or a list of dicts or of tuples; or batches of any of these, alone or as
    `(x, y)` or `(x, y, sample_weight)`: a `tf.data.Dataset`, a generator, a Keras `PyDataset`.
    Everything else that takes text takes it in the same forms, but for batches.

    It has a `tokenizer`, a `sequence_length`, and a `head_config` that says what it hangs on.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._graphs = _Graphs()
        # How many weights there were when Keras's functions were made, by what they do.
        self._weight_counts = {}

    def __call__(self, inputs, *args, **kwargs):
        """Runs the model on features or text; features that may be absent are filled in."""
        return super().__call__(self._features_of(inputs), *args, **kwargs)

    # === Examples ===

    #: The columns of raw text that are taken together, and what else is taken in their place.
    text_columns: Accepted = ((keys.TEXT,),)

    #: What is said to somebody who gives other columns.
    columns_hint = ""

    #: Whether an example may be several rows, so that a call and a `tf.data.Dataset` need features.
    reads_windows = False

    def raw_columns(self, x) -> dict:
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

    def rows(self, x, y=None, sample_weight=None):
        """Raw examples as the rows that are batched: as they are, one for each.

        A task whose examples may be longer than what it reads at once cuts them into several rows.

        Args:
            x: text in any form but batches, or rows.
            y: labels, or None.
            sample_weight: weights, or None.

        Returns:
            `kerasbert.data.text_batches.Rows`, with labels as the loss takes them.

        Raises:
            InputError: text, labels or weights that can't be, or that differ in length.
        """
        from kerasbert.data import text_batches

        if isinstance(x, text_batches.Rows):
            return x
        columns = self.raw_columns(x)
        y = None if y is None else self.labels(y, columns)
        if sample_weight is not None:
            sample_weight = numbers("sample_weight", sample_weight)
        return text_batches.Rows(columns, y, sample_weight)

    def weighted(self, rows, class_weight):
        """Rows whose weights are multiplied by those of their classes, and what is left for Keras.

        Args:
            rows: as `rows` gives them.
            class_weight: as `fit` takes it, or None.

        Returns:
            Rows, and the `class_weight` of Keras's `fit`.
        """
        return rows, class_weight

    def check_class_weight(self) -> None:
        """Raises `InputError` where Keras's `class_weight` can't be what is meant."""

    def training_examples(self, number, row: dict, y, sample_weight) -> tuple:
        """Turns a batch of rows into `(features, y, sample_weight)`, in the graph.

        Args:
            number: int64 scalar, another for every batch, for what has to be drawn at random.
            row: the rows' columns, such as `text` and perhaps `text_pair`, string tensors (batch,).
            y: labels as the rows have them, or None.
            sample_weight: as given, or None.
        """
        return self.text_features(**row), y, sample_weight

    # === Text ===

    @property
    def packer(self):
        """Strings to features with this task's tokenizer and length."""
        from kerasbert.text import TextPacker

        if self.tokenizer is None and self._tokenizer_config:
            raise InputError(
                f"{self.name} was made of a config alone, which has no vocabulary: load the .keras "
                "file or a preset, or set tokenizer"
            )
        if self.tokenizer is None:
            raise InputError(f"{self.name} has no tokenizer, so it takes features but no text")
        return TextPacker(self.tokenizer, self.sequence_length)

    @property
    def text_room(self) -> int:
        """Tokens of one text that are read, special tokens not counted."""
        return self.packer.text_room

    def text_features(self, text, text_pair=None) -> dict:
        """Features of a batch of strings, for prediction; in the graph."""
        return self.packer(text, text_pair)

    def count_truncated(self, rows) -> int:
        """How many rows have more text than is read of them.

        Args:
            rows: what `rows` gives; windows have no more than is read.
        """
        import tensorflow as tf

        from kerasbert.data import text_batches

        if keys.TEXT not in rows.x:
            return 0
        batches = text_batches.convert(
            text_batches.batches(rows, batch_size=1024),
            lambda row, *_: tf.math.count_nonzero(self._truncated(row)),
        )
        return sum(int(count) for count in batches.as_numpy_iterator())

    def _truncated(self, row: dict):
        """Which rows of text have more tokens than are read, bool (batch,); in the graph."""
        texts = [row[key] for key in (keys.TEXT, keys.TEXT_PAIR) if key in row]
        room = self.text_room if len(texts) == 1 else self.packer.pair_room
        return sum(self.tokenizer.tokenize(text).row_lengths() for text in texts) > room

    def _features_of(self, inputs) -> dict:
        """Features of text, or those that are given with what may be absent."""
        if inputs is None or keys.is_text(inputs):
            import tensorflow as tf

            from kerasbert.data.text_batches import Rows

            # AutoGraph, in a function of somebody's, warns of what it can't rewrite.
            columns = tf.autograph.experimental.do_not_convert(self.raw_columns)(inputs)
            if self.reads_windows:
                raise InputError(
                    f"{self.name} cuts texts into windows: predict takes them, a call features"
                )
            inputs = self.text_features(**Rows(columns).columns["x"])
        return keys.with_defaults(inputs)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        validation_batch_size=None,
        **kwargs,
    ):
        """Keras's `fit`, on features or text."""
        if validation_data is not None:
            validation_split = 0.0
        size = validation_batch_size or batch_size
        if is_stream(x):
            x, class_weight = self._stream(x, class_weight, shuffle=shuffle)
        elif x is None or keys.is_text(x):
            if not hasattr(x, "element_spec"):
                x, y, sample_weight, held_out = self._split(x, y, sample_weight, validation_split)
                validation_split, validation_data = 0.0, held_out or validation_data
                x, class_weight = self.weighted(self.rows(x, y, sample_weight), class_weight)
            x = self._examples(x, batch_size=batch_size, shuffle=shuffle, anew=True)
            y = sample_weight = batch_size = None
        if class_weight is not None:
            self.check_class_weight()
        with told_in_one_line():
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=self.validation_examples(validation_data, size),
                # A dataset has its own order; Keras warns when it is told to shuffle one.
                shuffle=shuffle and not hasattr(x, "element_spec"),
                class_weight=class_weight,
                sample_weight=sample_weight,
                validation_batch_size=validation_batch_size,
                **kwargs,
            )

    def _split(self, x, y, sample_weight, fraction: float) -> tuple:
        """Examples of text without the last `fraction` of them, and those, or None."""
        if not fraction:
            return x, y, sample_weight, None
        from kerasbert.data import text_batches

        if not 0 < fraction < 1:
            raise InputError(f"validation_split must be between 0 and 1, found {fraction}")
        y, sample_weight = (None if z is None else plain(z) for z in (y, sample_weight))
        first, second = text_batches.split(self.raw_columns(x), y, sample_weight, fraction)
        return *first, second

    def validation_examples(self, data, batch_size: int | None = None):
        """The `validation_data` of `fit`: of text batches of examples, else as it is.

        Args:
            data: see Keras.
            batch_size: of text; None: 32.
        """
        if is_stream(data):
            return self._stream(data)[0]
        parts = keys.validation_parts(data)
        return self._examples(*parts, batch_size=batch_size) if keys.is_text(parts[0]) else data

    def training_batches(
        self, x, y=None, sample_weight=None, *, batch_size: int, seed: int = 0, start: int = 0
    ):
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
        from kerasbert.data import text_batches

        rows = self.rows(x, y, sample_weight)
        batches = text_batches.shuffled(rows, batch_size=batch_size, seed=seed, start=start)
        return text_batches.convert(batches, self._traced_examples)

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **kwargs
    ):
        """Keras's `evaluate`, on features or text."""
        if is_stream(x):
            x, _ = self._stream(x)
        elif x is None or keys.is_text(x):
            x = self._examples(x, y, sample_weight, batch_size)
            y = sample_weight = batch_size = None
        with told_in_one_line():
            return super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Keras's `predict`, on features or text; returns the model's outputs (logits)."""
        if is_stream(x):
            x = self._features_of_stream(x)
        if x is not None and not keys.is_text(x):
            return super().predict(x, batch_size, verbose, steps, callbacks)
        if hasattr(x, "element_spec"):
            batches = self._prediction_batches(self._of_dataset(x))
            return super().predict(batches, None, verbose, steps, callbacks)
        from kerasbert.data import text_batches

        columns, size = self.raw_columns(x), checked_size(batch_size)
        rows = text_batches.Rows(columns)
        if not len(rows) or (
            len(rows) <= _FEW_BATCHES * size and steps is None and self._predicts_plainly(callbacks)
        ):
            return self._outputs_of(columns, size, verbose=verbose)
        rows, places = text_batches.longest_first(rows)
        batches = self._prediction_batches(text_batches.batches(rows, batch_size=size))
        outputs = super().predict(batches, None, verbose, steps, callbacks)
        return keras.tree.map_structure(lambda output: output[places], outputs)

    def make_predict_function(self, force=False):
        """As in Keras, but made anew also where LoRA's adapters have come since."""
        return super().make_predict_function(self._has_other_weights("predict") or force)

    def make_test_function(self, force=False):
        """As `make_predict_function`, for `evaluate`."""
        return super().make_test_function(self._has_other_weights("test") or force)

    def _has_other_weights(self, function: str) -> bool:
        """Whether layers have more weights than when a function was last asked for."""
        weights, before = len(self.weights), self._weight_counts.get(function)
        self._weight_counts[function] = weights
        return before not in (None, weights)

    def _predicts_plainly(self, callbacks) -> bool:
        """Whether `predict` does what a call does, in one place."""
        return (
            not callbacks
            and not self.run_eagerly
            and not (self.compiled and self.jit_compile)
            and self.distribute_strategy.num_replicas_in_sync == 1
            and type(self).predict_step is TextModel.predict_step
        )

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict: bool = False
    ):
        """Keras's `train_on_batch`, on features or text."""
        if keys.is_text(x):
            number = 0 if self.optimizer is None else int(self.optimizer.iterations)
            example, class_weight = self._example_batch(number, (x, y, sample_weight), class_weight)
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(example)
        if class_weight is not None:
            self.check_class_weight()
        with told_in_one_line():
            return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict: bool = False):
        """Keras's `test_on_batch`, on features or text."""
        if keys.is_text(x):
            example, _ = self._example_batch(0, (x, y, sample_weight))
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(example)
        with told_in_one_line():
            return super().test_on_batch(x, y, sample_weight, return_dict)

    def predict_on_batch(self, x):
        """Keras's `predict_on_batch`, on features; of text what `predict` gives, as one batch."""
        if not keys.is_text(x):
            return super().predict_on_batch(x)
        columns = self.raw_columns(x)
        size = length(next(iter(columns.values())))
        return self.predict(columns, batch_size=max(1, size), verbose=0)

    # === Batches ===

    def _prediction_batches(self, batches):
        """Batches of features, of batches of rows."""
        from kerasbert.data import text_batches

        return text_batches.convert(batches, lambda row, *_: self.text_features(**row))

    def _outputs_of(self, columns: dict, batch_size: int, verbose: int | str = 0):
        """The outputs of texts as NumPy, computed in this process alone; see `forward`.

        A pipeline takes longer to be made than a few batches take to be computed.
        """
        from kerasbert.data import text_batches

        rows, batch_size = text_batches.Rows(columns), checked_size(batch_size)
        steps = max(1, -(-len(rows) // batch_size))
        if steps > _FEW_BATCHES:
            rows, places = text_batches.longest_first(rows)
            batches = text_batches.batches(rows, batch_size=batch_size)
            found = self.forward(self._prediction_batches(batches))
        else:
            parts, places = text_batches.few(columns, batch_size)
            answer = self._answer(tuple(columns))
            found = (keras.tree.map_structure(lambda out: out.numpy(), answer(p)) for p in parts)
        if verbose:
            found = _with_bar(found, steps, 1 if verbose == "auto" else verbose)
        return keras.tree.map_structure(
            lambda *outputs: (outputs[0] if len(outputs) == 1 else np.concatenate(outputs))[places],
            *found,
        )

    def _answer(self, names: tuple[str, ...]) -> Callable:
        """The function from a batch of columns of such names to outputs."""
        import tensorflow as tf

        from kerasbert.data.text_batches import dense_spec

        def make():
            return tf.function(
                only_inference()(lambda row: self(self.text_features(**row), training=False)),
                input_signature=[{name: dense_spec(name) for name in names}],
                autograph=False,
            )

        return self._graph(f"answer {' '.join(names)}", make)

    def forward(self, batches) -> Iterator:
        """The outputs of batches of features as NumPy, one after the other.

        It computes in this process alone, whatever the strategy, so that every worker that asks
        sees all of them.

        Args:
            batches: an iterable of features, such as a `tf.data.Dataset`.
        """
        import tensorflow as tf

        def make():
            return tf.function(
                only_inference()(lambda features: self(features, training=False)),
                reduce_retracing=True,
                autograph=False,  # it warns of a lambda that is decorated
            )

        for features in batches:
            outputs = self._graph("forward", make)(features)
            outputs = tf.nest.map_structure(lambda output: output.numpy(), outputs)
            advance(len(tf.nest.flatten(outputs)[0]))
            yield outputs

    def _graph(self, name: str, make: Callable[[], Callable]) -> Callable:
        """A function that is traced once; made anew when a fact has changed that it may hang on."""
        # LoRA's adapters are more weights, of which a function knows nothing that is older.
        weights = len(self.weights)
        facts = (self.tokenizer, self.sequence_length, repr(self.head_config()), weights)
        return self._graphs.get(name, facts, make)

    def _traced_examples(self, number, batch: tuple) -> tuple:
        """`training_examples` of a batch of rows, without what there is not."""
        import tensorflow as tf

        def make():
            return tf.function(
                lambda number, batch: _without_none(self.training_examples(number, *batch)),
                reduce_retracing=True,
                autograph=False,
            )

        return self._graph("examples", make)(tf.cast(number, tf.int64), batch)

    def _example_batch(self, number: int, batch: tuple, class_weight=None) -> tuple:
        """A batch of text, labels and weights as a batch of examples, and Keras's class weights."""
        rows, class_weight = self.weighted(self.rows(*batch), class_weight)
        columns = rows.columns
        parts = (columns.get(name) for name in ("x", "y", "sample_weight"))
        return self._traced_examples(number, tuple(parts)), class_weight

    def _of_dataset(self, dataset):
        """Batches of rows of a `tf.data.Dataset` of text, without labels that are looked at."""
        from kerasbert.data import text_batches

        if self.reads_windows:
            raise InputError(
                f"{self.name} cuts texts into windows, so a tf.data.Dataset must have features; "
                "give text as lists, or fit and evaluate the batches of a generator"
            )
        return text_batches.of_dataset(dataset, self.raw_columns)

    def _stream(self, stream, class_weight=None, *, shuffle: bool = False) -> tuple:
        """What Keras reads of a generator or `PyDataset`, and its class weights.

        Those of features stay as they are; those of text become a dataset of examples.
        """
        stream, first = _peek(stream)
        if not keys.is_text(keras.utils.unpack_x_y_sample_weight(first)[0]):
            return stream, class_weight
        from kerasbert.data import text_batches
        from kerasbert.training.strategies import sharded

        number = itertools.count()
        _, of_keras = self.weighted(
            self.rows(*keras.utils.unpack_x_y_sample_weight(first)), class_weight
        )

        def example(batch):
            batch = keras.utils.unpack_x_y_sample_weight(batch)
            return self._example_batch(next(number), batch, class_weight)[0]

        return sharded(text_batches.of_stream(stream, example, shuffle=shuffle)), of_keras

    def _features_of_stream(self, stream):
        """As `_stream`, for `predict`."""
        stream, first = _peek(stream)
        if not keys.is_text(keras.utils.unpack_x_y_sample_weight(first)[0]):
            return stream
        if self.reads_windows:
            raise InputError(
                f"{self.name} cuts texts into windows: predict takes them as lists, not as a "
                "generator or PyDataset, and a call features"
            )
        from kerasbert.data import text_batches

        return text_batches.of_stream(
            stream, lambda batch: self._features_of(keras.utils.unpack_x_y_sample_weight(batch)[0])
        )

    def _examples(
        self, x, y=None, sample_weight=None, batch_size=None, *, shuffle=False, anew=False
    ):
        """Batches of examples.

        With `anew` they are for training: what is random in them changes from epoch to epoch.
        Otherwise their order doesn't matter, and is by length.
        """
        from kerasbert.data import text_batches
        from kerasbert.training.strategies import sharded

        if hasattr(x, "element_spec"):
            batches = text_batches.mapped(self._of_dataset(x), self._with_targets)
        else:
            rows = self.rows(x, y, sample_weight)
            if not len(rows):
                raise InputError(f"{self.name}: there are no examples")
            if not anew:
                rows, _ = text_batches.longest_first(rows)
            batches = text_batches.batches(
                rows, batch_size=checked_size(batch_size), shuffle=shuffle
            )
        numbered = text_batches.with_random_numbers(batches, anew)
        return sharded(text_batches.convert(numbered, self._traced_examples))

    def _with_targets(self, row: dict, y, sample_weight) -> tuple:
        return row, None if y is None else self.targets(y, row), sample_weight

    def _forget_graphs(self) -> None:
        """Forgets functions that were made of the layers as they were."""
        self._graphs.clear()


class _Graphs:
    """Traced functions by name, and the facts that each was traced with."""

    def __init__(self):
        self._found: dict[str, tuple] = {}

    def get(self, name: str, facts: tuple, make: Callable[[], Callable]) -> Callable:
        """The function; made if there is none, or if facts have changed."""
        found = self._found.get(name)
        if found is None or found[0] != facts:
            self._found[name] = found = facts, make()
        return found[1]

    def clear(self) -> None:
        """Forgets all of them, as when layers compute in another way than before."""
        self._found.clear()


def _peek(stream) -> tuple:
    """A generator or `PyDataset` as it was, and its first batch."""
    if not isinstance(stream, Iterator):
        if stream.num_batches == 0:
            raise InputError("the PyDataset has no batch")
        return stream, stream[0]
    try:
        first = next(stream)
    except StopIteration:
        raise InputError("the generator has no batch") from None

    def whole():  # Keras takes generators, but no other iterators
        yield first
        yield from stream

    return whole(), first


def _with_bar(batches: Iterator, steps: int, verbose: int) -> Iterator:
    """Batches, with Keras's progress bar of `predict`."""
    bar = keras.utils.Progbar(steps, verbose=verbose, unit_name="step")
    for step, batch in enumerate(batches, start=1):
        bar.update(step, finalize=step == steps)
        yield batch


@contextlib.contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turns the failure of a check inside a graph into an `InputError` with its message alone."""
    try:
        yield
    except Exception as error:
        found = re.search(r"assertion failed: \[(.*?)\]\s*(\n|$)", str(error), re.DOTALL)
        if found is None or type(error).__name__ != "InvalidArgumentError":
            raise
        message = re.sub(r"\\(['\"\\])", r"\1", found[1])  # TensorFlow escapes quotes
        raise InputError(message) from None


def _without_none(example: tuple) -> tuple:
    """Keras wants (x,), (x, y) or (x, y, w)."""
    while example[-1] is None:
        example = example[:-1]
    return example
