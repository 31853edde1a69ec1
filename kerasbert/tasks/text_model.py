"""Keras's methods on raw strings.

The task's `Preprocessor` converts text to features. Nothing here needs TensorFlow unless there is
text, so that a task on ready features also runs on other Keras backends.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasbert.data.inputs import checked_size, has_own_order, is_stream, length
from kerasbert.errors import InputError
from kerasbert.features import TOKEN_IDS, checked, is_text, packed, unpacked, with_defaults
from kerasbert.tasks.outputs import dense, joined
from kerasbert.tasks.streams import Peeked, peek
from kerasbert.tasks.uninitialized import UninitializedWeightsMixin
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.progress import advance, with_bar
from kerasbert.training.steps import ON_TENSORFLOW

if TYPE_CHECKING:
    from kerasbert.tasks.preprocessor import Preprocessor

# Predictions of up to this many batches use no input pipeline.
_FEW_BATCHES = 8


class TextModel(UninitializedWeightsMixin, ExactModel):
    """A Keras model that also takes raw strings; the base of all tasks.

    `Task` lists the forms of text; `Preprocessor.text_columns` are the columns. A subclass has a
    `preprocessor`, a `Preprocessor`; if it is None, the model only takes features.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._graphs = _Graphs()
        # The number of weights when Keras's functions were created, by name.
        self._weight_counts = {}

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs the model on features or text; missing features get their defaults.

        Args:
            inputs: features or text.
            *args: as in Keras.
            **kwargs: as in Keras, such as `training`.

        Returns:
            The model's outputs, such as logits, as tensors.

        Examples:
            >>> task({"token_ids": [[2, 5, 7, 8, 3]]}).shape
            TensorShape([1, 2])
        """
        return super().__call__(self._features_of(inputs), *args, **kwargs)

    @property
    def preprocessor(self) -> "Preprocessor | None":
        """The `Preprocessor` from raw text to features; None: the model only takes features."""
        return None

    #: Whether `fit`, `evaluate` and `score` need labels of text.
    needs_labels = False

    @property
    def _features_need_labels(self) -> bool:
        """Whether `fit` and `evaluate` need labels of ready features."""
        return True

    #: Value in the arrays of `predict` where an example has fewer outputs than the longest.
    output_padding = 0.0

    @property
    def _text(self) -> Any:  # each task has its own class of preprocessors
        """The preprocessor.

        Raises:
            InputError: there is none.
        """
        self.check_takes_text()
        return self.preprocessor

    def check_takes_text(self) -> None:
        """Raises `InputError` if there is no tokenizer."""
        if self.preprocessor is None:
            raise InputError(
                f"{self.name} has no tokenizer, so it takes features but no text; set its tokenizer"
            )

    @property
    def _examples(self) -> Any:
        """The preprocessor of what `fit` and `evaluate` compute on."""
        return self._text.with_few_lengths() if self.needs_few_shapes else self._text

    def _features_of(self, inputs) -> dict:
        """Returns features of text, or given features with defaults for missing ones."""
        if inputs is None or is_text(inputs):
            inputs = self._text(inputs)
        return with_defaults(self._checked(inputs))

    def _checked(self, features: Any) -> Any:
        """Returns ready features as Keras takes them; see `kerasbert.features.checked`."""
        return checked(features, self.backbone.config, self._ranks)

    @property
    def _ranks(self) -> tuple[int, ...]:
        """The ranks that features may have."""
        return (len(self.inputs[0].shape),)

    def _check_labels(self, x: Any, y: Any, what: str = "examples") -> None:
        """Raises `InputError` if labels are missing that the task learns from.

        Args:
            x: features or text, or batches of examples.
            y: labels, or None.
            what: what the examples are, for the message.
        """
        if y is not None or x is None or is_stream(x):
            return
        text = is_text(x)
        if not (self.needs_labels if text else self._features_need_labels):
            return
        if hasattr(x, "element_spec"):
            if text and self._text.reads_windows:
                return  # such datasets are refused, with labels, too
            if not isinstance(x.element_spec, tuple) or len(x.element_spec) < 2:
                raise InputError(f"{self.name}: the elements of the dataset must be (x, y)")
            return
        if text:
            self._text.columns(x)  # says first what is no text
        raise InputError(
            f"{self.name}: the {what} have no labels; y takes them, one for each example"
        )

    def check_class_weight(self) -> None:
        """Raises `InputError` if Keras would apply `class_weight` in a wrong way."""

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        validation_batch_size: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains as in Keras, on features or text.

        Returns:
            Keras's `History`: losses and metrics of every epoch.

        Examples:
            >>> task.compile()
            >>> texts, labels = ["a fine day", "a dull day"], ["good", "bad"]
            >>> history = task.fit(texts, labels, batch_size=2, epochs=2, verbose=0)
            >>> len(history.history["loss"])
            2
        """
        if validation_data is not None:
            validation_split = 0.0
        size = validation_batch_size or batch_size
        self._check_labels(x, y)
        if is_stream(x):
            x, class_weight = self._stream(x, class_weight, shuffle=shuffle, seed=self.updates)
        elif x is None or is_text(x):
            text = self._examples
            if not hasattr(x, "element_spec"):
                *examples, held_out = text.split(x, y, sample_weight, validation_split)
                validation_split, validation_data = 0.0, held_out or validation_data
                x, class_weight = text.weighted(text.rows(*examples), class_weight)
                y = sample_weight = None
            x = text.batches(x, y, sample_weight, batch_size, shuffle=shuffle, seed=self.updates)
            y = sample_weight = batch_size = None
        else:
            x = self._checked(x)
        if class_weight is not None:
            self.check_class_weight()
            spec = getattr(x, "element_spec", None)
            if isinstance(spec, tuple) and len(spec) > 2:
                raise InputError(
                    f"{self.name}: the dataset has weights, so it takes no class_weight; multiply "
                    "its weights by those of the classes"
                )
        with one_line_errors():
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=self._validation_batches(
                    validation_data, size, kwargs.get("validation_steps")
                ),
                # These have their own order; Keras would warn about shuffling them.
                shuffle=shuffle and not has_own_order(x),
                class_weight=class_weight,
                sample_weight=sample_weight,
                validation_batch_size=validation_batch_size,
                **kwargs,
            )

    def _validation_batches(self, data, batch_size: int | None, steps: int | None):
        """Returns the `validation_data` of `fit`, with text as batches of examples."""
        if data is None:
            return None
        if is_stream(data):
            return self._stream(data)[0]
        x, y, sample_weight = unpacked(data, "validation_data")
        if x is None:
            raise InputError("validation_data must be (x, y) or (x, y, sample_weight), found None")
        self._check_labels(x, y, "validation_data")
        if not is_text(x):
            return self._checked(x), y, sample_weight
        return self._examples.batches(x, y, sample_weight, batch_size, steps=steps)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Evaluates as in Keras, on features or text.

        Returns:
            As in Keras: the loss and the metrics, as a list; by name with `return_dict=True`.

        Examples:
            >>> task.compile()
            >>> scores = task.evaluate(["a fine day"], ["good"], verbose=0, return_dict=True)
            >>> sorted(scores)
            ['accuracy', 'loss']
        """
        self._check_labels(x, y)
        self._before_answers()
        if is_stream(x):
            x, _ = self._stream(x)
        elif x is None or is_text(x):
            steps = kwargs.get("steps")
            x = self._examples.batches(x, y, sample_weight, batch_size, steps=steps)
            y = sample_weight = batch_size = None
        else:
            x = self._checked(x)
        with one_line_errors():
            return super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Predicts as in Keras, on features or text; returns the model's outputs (logits).

        Outputs are float32 arrays, one row per example, padded to the longest: they need memory for
        rows times the longest. `answer`, `tag` and `score` have no such arrays.
        Texts that are split into windows take no `steps` and no `callbacks`.

        Examples:
            >>> task.predict(["a fine day", "a dull day"], verbose=0).shape
            (2, 2)
        """
        if is_stream(x):
            batches = self._features_of_stream(x)
            return self._predicted(batches, batch_size, verbose, steps, callbacks)
        if x is not None and not is_text(x):
            x = self._checked(x)
            first = x[TOKEN_IDS] if isinstance(x, dict) else x
            if getattr(first, "shape", (None,))[0] == 0:  # Keras's predict needs a row
                return self._dense(self.predict_on_batch(x))
            return self._predicted(x, batch_size, verbose, steps, callbacks)
        text = self._text
        if hasattr(x, "element_spec"):
            batches = text.prediction_batches(text.rows_of_dataset(x))
            return self._predicted(batches, None, verbose, steps, callbacks)
        from kerasbert.data import text_batches  # imports TensorFlow

        columns, size = text.columns(x), checked_size(batch_size)
        rows = text_batches.Rows(columns)
        if text.reads_windows:
            if steps is not None or callbacks:
                raise InputError(
                    f"{self.name} splits texts into windows: predict takes no steps or callbacks "
                    "then"
                )
            batches = self._outputs_of_windows(columns, size)
            count = max(1, -(-len(rows) // size))
            return joined(with_bar(batches, count, verbose), self.output_padding)
        if steps is not None:  # now, because the longest come first below
            rows, steps = rows.first(steps * size), None
            columns = rows.x
        if not len(rows) or (
            len(rows) <= _FEW_BATCHES * size and self._predicts_plainly(callbacks)
        ):
            return self._outputs_of(columns, size, verbose=verbose)
        rows, positions = text_batches.longest_first(rows)
        batches = text.prediction_batches(text_batches.batches(rows, batch_size=size))
        outputs = self._predicted(batches, None, verbose, steps, callbacks)
        return keras.tree.map_structure(lambda output: output[positions], outputs)

    def _predicted(self, *args) -> Any:
        """Returns what Keras's `predict` does, as arrays."""
        self._before_answers()
        return self._dense(super().predict(*args))

    def _dense(self, outputs: Any) -> Any:
        return keras.tree.map_structure(lambda one: dense(one, self.output_padding), outputs)

    def make_predict_function(self, force: bool = False) -> Any:
        """Creates the function as Keras does, and again if LoRA adapters were added."""
        return super().make_predict_function(self._has_other_weights("predict") or force)

    def make_test_function(self, force: bool = False) -> Any:
        """Like `make_predict_function`, for `evaluate`."""
        return super().make_test_function(self._has_other_weights("test") or force)

    def _has_other_weights(self, function: str) -> bool:
        """Whether the number of weights has changed since the function was last requested."""
        weights, before = len(self.weights), self._weight_counts.get(function)
        self._weight_counts[function] = weights
        return before not in (None, weights)

    def _predicts_plainly(self, callbacks) -> bool:
        """Whether `predict` is equivalent to calls in this process."""
        return (
            ON_TENSORFLOW
            and not callbacks
            and not self.run_eagerly
            and not (self.compiled and self.jit_compile)
            and self.distribute_strategy.num_replicas_in_sync == 1
            and type(self).predict_step is TextModel.predict_step
        )

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Trains on one batch as in Keras, on features or text."""
        self._check_labels(x, y)
        if is_text(x):
            batch = x, y, sample_weight
            example, class_weight = self._examples.example_batch(self.updates, batch, class_weight)
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(example)
        else:
            x = self._checked(x)
        if class_weight is not None:
            self.check_class_weight()
        with one_line_errors():
            return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluates one batch as in Keras, on features or text."""
        self._check_labels(x, y)
        self._before_answers()
        if is_text(x):
            example, _ = self._examples.example_batch(0, (x, y, sample_weight))
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(example)
        else:
            x = self._checked(x)
        with one_line_errors():
            return super().test_on_batch(x, y, sample_weight, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Predicts one batch as in Keras on features; text as `predict` does, in one batch."""
        if not is_text(x):
            self._before_answers()
            return super().predict_on_batch(self._checked(x))
        columns = self._text.columns(x)
        size = length(next(iter(columns.values())))
        return self.predict(columns, batch_size=max(1, size or 1), verbose=0)

    # === Outputs of texts ===

    def _outputs_of(self, columns: dict, batch_size: int, verbose: int | str = 0) -> Any:
        """Returns the outputs of texts as NumPy arrays, computed in this process; see `forward`.

        For a few batches, creating a pipeline would take longer than computing them.
        """
        from kerasbert.data import text_batches  # imports TensorFlow

        rows, batch_size = text_batches.Rows(columns), checked_size(batch_size)
        steps = max(1, -(-len(rows) // batch_size))
        if steps > _FEW_BATCHES or not ON_TENSORFLOW:
            rows, positions = text_batches.longest_first(rows)
            batches = text_batches.batches(rows, batch_size=batch_size)
            answers = self.forward(self._examples.prediction_batches(batches))
        else:
            parts, positions = text_batches.few(columns, batch_size)
            text = self._text
            answer = self._graph(type(text).traced_outputs, text, tuple(columns))
            answers = (keras.tree.map_structure(lambda out: out.numpy(), answer(p)) for p in parts)
        outputs = joined(with_bar(answers, steps, verbose), self.output_padding)
        return keras.tree.map_structure(lambda output: output[positions], outputs)

    def _outputs_of_windows(self, columns: dict, batch_size: int) -> Iterator:
        """Yields the outputs of examples that are split into windows, batch by batch.

        Args:
            columns: raw columns.
            batch_size: examples per batch; without any, there is one empty batch.
        """
        raise NotImplementedError

    def forward(self, batches: Any) -> Iterator[Any]:
        """Yields the outputs of batches of features as NumPy arrays.

        Computes in this process only, whatever the strategy, so that every worker gets all outputs.

        Args:
            batches: an iterable of features, such as a `tf.data.Dataset`.
        """
        self._before_answers()
        for features in batches:
            if ON_TENSORFLOW:
                outputs = self._graph(_traced_forward)(features)
                outputs = keras.tree.map_structure(lambda output: output.numpy(), outputs)
            else:
                features = keras.tree.map_structure(np.asarray, with_defaults(features))
                outputs = super().predict_on_batch(features)
            advance(len(keras.tree.flatten(outputs)[0]))
            yield outputs

    def _graph(self, make: Callable, *args):
        """Returns the traced function `make(*args, self)` that answers, created once.

        It is created again if something that it depends on has changed: an argument, such as the
        preprocessor, or the number of weights, because an older function does not know LoRA
        adapters that were added later.
        """
        self._before_answers()
        key = (*args, len(self.weights))
        return self._graphs.get(make, key, lambda: make(*args, self))

    def _forget_graphs(self) -> None:
        """Drops traced functions, which do not know that layers have changed."""
        self._graphs = _Graphs()

    # === Generators and Keras's `PyDataset` ===

    def _stream(
        self, stream, class_weight=None, *, shuffle: bool = False, seed: int | None = None
    ) -> tuple:
        """Returns what Keras reads from a generator or `PyDataset`, and its class weights.

        Batches of features are unchanged; batches of text become a dataset of examples, in training
        with a seed.
        """
        found = peek(stream)
        self._check_labels(found.x, found.y)
        if not found.has_text:
            return self._checked_stream(found), class_weight
        return self._examples.batches_of_stream(
            found.stream, found.first, class_weight, shuffle=shuffle, seed=seed
        )

    def _features_of_stream(self, stream):
        """Like `_stream`, for `predict`."""
        found = peek(stream)
        if found.has_text:
            return self._text.features_of_stream(found.stream)
        return self._checked_stream(found)

    def _checked_stream(self, found: Peeked):
        """Returns a generator whose features are checked; of a `PyDataset` only the first are."""
        if isinstance(found.stream, Iterator):
            return (self._checked_batch(batch) for batch in found.stream)
        self._checked(found.x)
        return found.stream

    def _checked_batch(self, batch: Any) -> tuple:
        x, y, sample_weight = unpacked(batch)
        return packed(self._checked(x), y, sample_weight)


class _Graphs:
    """Traced functions by their maker, with the key that each was traced for."""

    def __init__(self):
        self._cached = {}

    def get(self, name: Callable, key: tuple, make: Callable[[], Callable]) -> Callable:
        """Returns the function; creates it if there is none, or if the key has changed."""
        known_key, function = self._cached.get(name, (None, None))
        if function is None or known_key != key:
            function = make()
            self._cached[name] = key, function
        return function


def _traced_forward(model) -> Callable:
    """Returns the traced function from features to a model's outputs."""
    from kerasbert.tasks.graphs import forward  # imports TensorFlow

    return forward(model)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Context that turns a failed assertion in a graph into an `InputError` of one line."""
    try:
        yield
    except Exception as error:
        found = re.search(r"assertion failed: \[(.*?)\]\s*(\n|$)", str(error), re.DOTALL)
        if found is None or type(error).__name__ != "InvalidArgumentError":
            raise
        message = re.sub(r"\\(['\"\\])", r"\1", found[1])  # TensorFlow escapes quotes
        raise InputError(message) from None
