"""Preprocessing for text embeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasbert.data.inputs import numbers
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TEXT_NEGATIVE, TEXT_PAIR
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.graph_labels import one_per_example
from kerasbert.tasks.long_text import LongTextPreprocessor

_TEXTS = (TEXT, TEXT_PAIR, TEXT_NEGATIVE)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TextEmbedderPreprocessor(LongTextPreprocessor):
    """Turns texts, pairs and scores into features and targets; see `TextEmbedder`.

    Attributes:
        prompt: prefix of every text.
        objective: "contrastive", which has no labels, or "similarity".
    """

    prompt: str = ""
    objective: str = "contrastive"

    text_columns = (_TEXTS[:1], _TEXTS[:2], _TEXTS)

    @property
    def compares_rows(self) -> bool:
        """Whether the other pairs of a batch are negatives."""
        return self.objective == "contrastive"

    def labels(self, y: Any, columns: dict[str, Any]) -> np.ndarray:
        """Returns the gold scores of pairs, float32 (pairs,)."""
        self._check_objective()
        scores = numbers("y", y)
        scores = scores[:, 0] if scores.shape[1:] == (1,) else scores
        if scores.ndim != 1:
            raise InputError(
                f"y must have one score for every pair, found the shape {scores.shape}"
            )
        for position in np.flatnonzero(np.abs(scores) > 1)[:1]:
            raise InputError(
                f"y[{position}] is {scores[position]:g}, but scores must be in [-1, 1]"
            )
        return scores

    def targets(self, y: Any, row: dict[str, Any]) -> Any:
        """Does the same as `labels`, in the graph."""
        self._check_objective()
        if y.dtype == tf.string:
            raise InputError("y must be numbers, found strings")
        y = tf.cast(one_per_example(y), tf.float32)
        check = tf.debugging.Assert(tf.reduce_all(tf.abs(y) <= 1), ["scores must be in [-1, 1]"])
        with tf.control_dependencies([check]):
            return tf.identity(y)

    def _check_objective(self) -> None:
        """Raises `InputError` if the objective has no labels."""
        if self.objective == "contrastive":
            raise InputError(
                f"{self.name} has the contrastive objective, which needs no labels: leave y out, "
                "or choose objective='similarity'"
            )

    def training_examples(
        self, number: Any, row: dict[str, Any], y: Any, sample_weight: Any
    ) -> tuple[Any, ...]:
        """Returns features (batch, texts, sequence), and scores, or 1 if there are none."""
        if TEXT_PAIR not in row:
            raise InputError(f"{self.name} learns from pairs of texts, found {', '.join(row)}")
        if self.objective == "contrastive":
            y = tf.ones([tf.shape(row[TEXT])[0]])
        else:
            if y is None or TEXT_NEGATIVE in row:
                raise InputError(
                    f"{self.name} has the similarity objective, which needs pairs with scores (y)"
                )
        columns = [row[key] for key in _TEXTS if key in row]
        features = self.features(tf.concat(columns, axis=0))
        # From all first texts, then all second texts, to the texts of each example.
        together = {
            name: tf.stack(tf.split(rows, len(columns)), axis=1) for name, rows in features.items()
        }
        return together, y, sample_weight

    def truncated(self, row: dict[str, Any]) -> Any:
        """Whether some text of each row exceeds `sequence_length`, bool (batch,)."""
        texts = [self._prompted(row[key]) for key in _TEXTS if key in row]
        lengths = [self.tokenizer.tokenize(text).row_lengths() for text in texts]
        return tf.reduce_max(tf.stack(lengths), axis=0) > self.text_room

    def _prompted(self, text):
        return tf.strings.join([self.prompt, text]) if self.prompt else text

    def features(
        self, text: Any, text_pair: Any = None, text_negative: Any = None
    ) -> dict[str, Any]:
        """Returns features of single texts, (batch, sequence).

        With `long_text` they are (batch, chunks, sequence).
        """
        if text_pair is not None or text_negative is not None:
            raise InputError(f"{self.name} predicts single texts; embed takes pairs too")
        features = super().features(self._prompted(text))
        # The model distinguishes one text per example from several by the number of dimensions.
        shape = [None] * (3 if self.long_text else 2)
        return {name: tf.ensure_shape(rows, shape) for name, rows in features.items()}

    def serving_signature(self, task: Any) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Maps `text` to `embedding`."""

        def embed(text):
            return {"embedding": task(self.features(text), training=False)}

        return (TEXT,), embed

    def traced_token_vectors(self, task: Any) -> Callable[..., Any]:
        """Returns a function from strings to texts, token vectors, and token offsets in bytes.

        Texts are bytes. Vectors are float32 (batch, tokens, dim); a row's lists of starts and ends
        say how many of them are not padding. The encoder is traced once.
        """
        model = keras.Model(task.input, task._token_vectors)
        compute = tf.function(
            lambda features: model(features, training=False), reduce_retracing=True, autograph=False
        )

        def vectors(texts) -> tuple:
            text = tf.constant(texts)
            ids, begins, ends = self.tokenizer.tokenize_with_offsets(text)
            features = self.packer.pack(ids, pad_to_longest=True)
            if self.long_text:
                features = {name: value[:, tf.newaxis] for name, value in features.items()}
            computed = compute(features).numpy().astype("float32")
            # Drop the special tokens at both ends.
            return text.numpy(), computed[:, 1:-1], begins.to_list(), ends.to_list()

        return vectors
