"""Text as an input type: Keras's methods on raw strings.

How text becomes features is the `Preprocessor`'s; nothing here needs TensorFlow unless there is
text, so that a task on ready features also runs on other Keras backends.
"""

import contextlib
import re
from collections.abc import Callable, Iterator

import keras
import numpy as np

from kerasbert.data.inputs import checked_size, is_stream, length
from kerasbert.errors import InputError
from kerasbert.features import is_text, validation_parts, with_defaults
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.progress import advance

# Texts of up to so many batches are answered without a pipeline.
_FEW_BATCHES = 8


class TextModel(ExactModel):
    """A Keras model that also takes raw strings; what tasks have in common.

    `fit`, `evaluate`, `predict`, their `..._on_batch` and calls are Keras's own. Beside ready
    features (see `kerasbert.features`) their `x` may be text: a string (a batch of one), or a list,
    array, tensor or series of strings; for several columns (see `Preprocessor.text_columns`) a
    dict, a table, a tuple of columns, or a list of dicts or of tuples; or batches of any of these,
    alone or as `(x, y)` or `(x, y, sample_weight)`: a `tf.data.Dataset`, a generator, a Keras
    `PyDataset`. Everything else that takes text takes it in the same forms, but for batches.

    A subclass has a `preprocessor`, a `Preprocessor` or None, in which case it takes features only.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._graphs = _Graphs()
        # How many weights there were when Keras's functions were made, by what they do.
        self._weight_counts = {}

    def __call__(self, inputs, *args, **kwargs):
        """Runs the model on features or text; features that may be absent are filled in."""
        return super().__call__(self._features_of(inputs), *args, **kwargs)

    preprocessor = None

    @property
    def _text(self):
        """The preprocessor.

        Raises:
            InputError: there is none.
        """
        if self.preprocessor is None:
            raise InputError(f"{self.name} has no tokenizer, so it takes features but no text")
        return self.preprocessor

    def _features_of(self, inputs) -> dict:
        """Features of text, or those that are given with what may be absent."""
        if inputs is None or is_text(inputs):
            inputs = self._text(inputs)
        return with_defaults(inputs)

    def check_class_weight(self) -> None:
        """Raises `InputError` where Keras's `class_weight` can't be what is meant."""

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
        elif x is None or is_text(x):
            text = self._text
            if not hasattr(x, "element_spec"):
                *examples, held_out = text.split(x, y, sample_weight, validation_split)
                validation_split, validation_data = 0.0, held_out or validation_data
                x, class_weight = text.weighted(text.rows(*examples), class_weight)
            x = text.batches(x, batch_size=batch_size, shuffle=shuffle, anew=True)
            y = sample_weight = batch_size = None
        if class_weight is not None:
            self.check_class_weight()
        with one_line_errors():
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=self._validation_batches(validation_data, size),
                # A dataset has its own order; Keras warns when it is told to shuffle one.
                shuffle=shuffle and not hasattr(x, "element_spec"),
                class_weight=class_weight,
                sample_weight=sample_weight,
                validation_batch_size=validation_batch_size,
                **kwargs,
            )

    def _validation_batches(self, data, batch_size: int | None):
        """The `validation_data` of `fit`: of text batches of examples, else as it is."""
        if is_stream(data):
            return self._stream(data)[0]
        parts = validation_parts(data)
        if not is_text(parts[0]):
            return data
        return self._text.batches(*parts, batch_size=batch_size)

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **kwargs
    ):
        """Keras's `evaluate`, on features or text."""
        if is_stream(x):
            x, _ = self._stream(x)
        elif x is None or is_text(x):
            x = self._text.batches(x, y, sample_weight, batch_size)
            y = sample_weight = batch_size = None
        with one_line_errors():
            return super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Keras's `predict`, on features or text; returns the model's outputs (logits)."""
        if is_stream(x):
            x = self._features_of_stream(x)
        if x is not None and not is_text(x):
            return super().predict(x, batch_size, verbose, steps, callbacks)
        text = self._text
        if hasattr(x, "element_spec"):
            batches = text.prediction_batches(text.rows_of_dataset(x))
            return super().predict(batches, None, verbose, steps, callbacks)
        from kerasbert.data import text_batches  # with text comes TensorFlow

        columns, size = text.columns(x), checked_size(batch_size)
        rows = text_batches.Rows(columns)
        if not len(rows) or (
            len(rows) <= _FEW_BATCHES * size and steps is None and self._predicts_plainly(callbacks)
        ):
            return self._outputs_of(columns, size, verbose=verbose)
        rows, positions = text_batches.longest_first(rows)
        batches = text.prediction_batches(text_batches.batches(rows, batch_size=size))
        outputs = super().predict(batches, None, verbose, steps, callbacks)
        return keras.tree.map_structure(lambda output: output[positions], outputs)

    def make_predict_function(self, force=False):
        """As in Keras, but also after the number of weights has changed (LoRA)."""
        return super().make_predict_function(self._has_other_weights("predict") or force)

    def make_test_function(self, force=False):
        """As `make_predict_function`, for `evaluate`."""
        return super().make_test_function(self._has_other_weights("test") or force)

    def _has_other_weights(self, function: str) -> bool:
        """Whether the number of weights has changed since the function was made."""
        weights, before = len(self.weights), self._weight_counts.get(function)
        self._weight_counts[function] = weights
        return before not in (None, weights)

    def _predicts_plainly(self, callbacks) -> bool:
        """Whether a plain forward pass gives what `predict` gives.

        Not with callbacks, eager mode, XLA, several replicas or a `predict_step` of a subclass.
        """
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
        if is_text(x):
            number = 0 if self.optimizer is None else int(self.optimizer.iterations)
            batch = x, y, sample_weight
            example, class_weight = self._text.example_batch(number, batch, class_weight)
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(example)
        if class_weight is not None:
            self.check_class_weight()
        with one_line_errors():
            return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict: bool = False):
        """Keras's `test_on_batch`, on features or text."""
        if is_text(x):
            example, _ = self._text.example_batch(0, (x, y, sample_weight))
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(example)
        with one_line_errors():
            return super().test_on_batch(x, y, sample_weight, return_dict)

    def predict_on_batch(self, x):
        """Keras's `predict_on_batch`, on features; of text what `predict` gives, as one batch."""
        if not is_text(x):
            return super().predict_on_batch(x)
        columns = self._text.columns(x)
        size = length(next(iter(columns.values())))
        return self.predict(columns, batch_size=max(1, size), verbose=0)

    # === Outputs of texts ===

    def _outputs_of(self, columns: dict, batch_size: int, verbose: int | str = 0):
        """The outputs of texts as NumPy, computed in this process alone; see `forward`.

        A few batches skip `tf.data`: building a pipeline would take longer than computing them.
        """
        from kerasbert.data import text_batches  # with text comes TensorFlow

        rows, batch_size = text_batches.Rows(columns), checked_size(batch_size)
        steps = max(1, -(-len(rows) // batch_size))
        if steps > _FEW_BATCHES:
            rows, positions = text_batches.longest_first(rows)
            batches = text_batches.batches(rows, batch_size=batch_size)
            answers = self.forward(self._text.prediction_batches(batches))
        else:
            parts, positions = text_batches.few(columns, batch_size)
            text = self._text
            answer = self._graph(type(text).traced_outputs, text, tuple(columns))
            answers = (keras.tree.map_structure(lambda out: out.numpy(), answer(p)) for p in parts)
        if verbose:
            answers = _with_bar(answers, steps, 1 if verbose == "auto" else verbose)
        return keras.tree.map_structure(
            lambda *outputs: (outputs[0] if len(outputs) == 1 else np.concatenate(outputs))[
                positions
            ],
            *answers,
        )

    def forward(self, batches) -> Iterator:
        """The outputs of batches of features as NumPy, one after the other.

        It computes in this process alone, whatever the strategy, so that every worker that asks
        sees all of them.

        Args:
            batches: an iterable of features, such as a `tf.data.Dataset`.
        """
        for features in batches:
            outputs = self._graph(_traced_forward)(features)
            outputs = keras.tree.map_structure(lambda output: output.numpy(), outputs)
            advance(len(keras.tree.flatten(outputs)[0]))
            yield outputs

    def _graph(self, make: Callable, *args):
        """The traced function that `make(*args, self)` returns; cached.

        It is made again when an argument (such as the preprocessor) or the number of weights has
        changed: an older trace has no LoRA adapters.
        """
        key = (*args, len(self.weights))
        return self._graphs.get(make, key, lambda: make(*args, self))

    def _forget_graphs(self) -> None:
        """Drops the cached functions, after the layers have changed."""
        self._graphs = _Graphs()

    # === Generators and Keras's `PyDataset` ===

    def _stream(self, stream, class_weight=None, *, shuffle: bool = False) -> tuple:
        """A generator or `PyDataset` as Keras can read it, and the class weights for Keras.

        Streams of features are returned unchanged; streams of text become a dataset of examples.
        """
        stream, first, has_text = _peek(stream)
        if not has_text:
            return stream, class_weight
        return self._text.batches_of_stream(stream, first, class_weight, shuffle=shuffle)

    def _features_of_stream(self, stream):
        """As `_stream`, for `predict`."""
        stream, _, has_text = _peek(stream)
        return self._text.features_of_stream(stream) if has_text else stream


class _Graphs:
    """A cache of traced functions, each with the key that it was traced for."""

    def __init__(self):
        self._cached = {}

    def get(self, name: Callable, key: tuple, make: Callable[[], Callable]) -> Callable:
        """Returns the function, made again if there is none for this key."""
        answers = self._cached.get(name)
        if answers is None or answers[0] != key:
            self._cached[name] = answers = key, make()
        return answers[1]


def _traced_forward(model) -> Callable:
    """The function from features to a model's outputs."""
    from kerasbert.tasks.graphs import forward  # TensorFlow's graphs

    return forward(model)


def _peek(stream) -> tuple:
    """A generator or `PyDataset` as it was, its first batch, and whether that is text."""
    if not isinstance(stream, Iterator):
        if stream.num_batches == 0:
            raise InputError("the PyDataset has no batch")
        first = stream[0]
    else:
        try:
            first = next(stream)
        except StopIteration:
            raise InputError("the generator has no batch") from None
        stream = _beginning_with(first, stream)
    return stream, first, is_text(keras.utils.unpack_x_y_sample_weight(first)[0])


def _beginning_with(first, rest: Iterator):
    """A generator: Keras takes no other iterators."""
    yield first
    yield from rest


def _with_bar(batches: Iterator, steps: int, verbose: int) -> Iterator:
    """Batches, with Keras's progress bar of `predict`."""
    bar = keras.utils.Progbar(steps, verbose=verbose, unit_name="step")
    for step, batch in enumerate(batches, start=1):
        bar.update(step, finalize=step == steps)
        yield batch


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns the failure of a check inside a graph into an `InputError` with its message alone."""
    try:
        yield
    except Exception as error:
        answers = re.search(r"assertion failed: \[(.*?)\]\s*(\n|$)", str(error), re.DOTALL)
        if answers is None or type(error).__name__ != "InvalidArgumentError":
            raise
        message = re.sub(r"\\(['\"\\])", r"\1", answers[1])  # TensorFlow escapes quotes
        raise InputError(message) from None
