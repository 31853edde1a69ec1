"""Preprocessing for multiple choice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasbert.data.inputs import as_string, is_missing, plain, shown_classes
from kerasbert.errors import InputError
from kerasbert.features import CHOICES, PADDING_MASK, TEXT, TOKEN_IDS
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.graph_labels import one_per_example
from kerasbert.tasks.preprocessor import Preprocessor
from kerasbert.text.normalization import drop_invalid_utf8


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MultipleChoicePreprocessor(Preprocessor):
    """Turns texts, choices and labels into features and indices; see `MultipleChoice`."""

    text_columns = ((TEXT, CHOICES),)

    def features(self, text: Any, choices: Any) -> dict[str, Any]:
        """Returns features of texts with their choices, (batch, choices, sequence).

        Args:
            text: string tensor, (batch,).
            choices: string tensor, (batch, choices), ragged or padded with empty strings.
        """
        choices = _dense(choices)
        shape = tf.shape(choices)
        pairs = self.packer(tf.repeat(text, shape[1]), tf.reshape(choices, [-1]))
        is_choice = tf.cast(choices != "", tf.int32)[:, :, tf.newaxis]
        length = tf.shape(pairs[TOKEN_IDS])[1]
        rows = tf.stack([shape[0], shape[1], length])
        features = {name: tf.reshape(row, rows) for name, row in pairs.items()}
        return {**features, PADDING_MASK: features[PADDING_MASK] * is_choice}

    def truncated(self, row: dict[str, Any]) -> Any:
        """Whether each row's text and longest choice exceed `sequence_length`, bool (batch,)."""
        text, choices = self.tokenizer.tokenize(row[TEXT]), _dense(row[CHOICES])
        of_choices = self.tokenizer.tokenize(tf.reshape(choices, [-1])).row_lengths()
        longest = tf.reduce_max(tf.reshape(of_choices, tf.shape(choices)), axis=1)
        return text.row_lengths() + longest > self.packer.pair_room

    def labels(self, y: Any, columns: dict[str, Any]) -> np.ndarray:
        """Returns the indices of the correct choices."""
        y, choices = plain(y), plain(columns[CHOICES])
        if isinstance(y, np.ndarray) and y.shape[1:] == (1,):
            y = y[:, 0]
        if len(y) != len(choices):
            raise InputError(f"there are {len(choices)} texts, but y has {len(y)}")
        indices = np.zeros(len(y), "int32")
        for position, (label, own) in enumerate(zip(y, choices, strict=True)):
            own = [as_string(one) for one in own]
            known = {choice: index for index, choice in reversed([*enumerate(own)]) if choice}
            index = None
            if isinstance(label, str | bytes):
                label = as_string(label)
                index = known.get(label)
            elif not (
                isinstance(label, bool | np.bool_) or np.ndim(label) or is_missing(label)
            ) and label in range(len(own)):
                index = int(label) if own[int(label)] else None
            if index is None:
                raise InputError(
                    f"y[{position}] is {label!r}, which is none of its choices: "
                    f"{shown_classes(own)}"
                )
            indices[position] = index
        return indices

    def targets(self, y: Any, row: dict[str, Any]) -> Any:
        """Does the same as `labels`, in the graph."""
        choices, y = _dense(row[CHOICES]), one_per_example(y)
        if y.dtype == tf.bool:
            raise InputError("y must be choices or their indices, found bools")
        if y.dtype == tf.string:
            right = choices == y[:, tf.newaxis]
        else:  # as floats, because a fraction is no index
            positions = tf.cast(tf.range(tf.shape(choices)[1]), tf.float64)
            right = positions == tf.cast(y, tf.float64)[:, tf.newaxis]
        right &= choices != ""
        known = tf.reduce_all(tf.reduce_any(right, axis=1))
        check = tf.debugging.Assert(known, ["a label is none of the choices of its text"])
        with tf.control_dependencies([check]):
            return tf.argmax(right, axis=1, output_type=tf.int32)

    def serving_signature(self, task: Any) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Maps `text` and `choices` to `choice`, `answer` and `scores`.

        `choices` is padded with empty strings, which do not count. If a row has no choice,
        `choice` is -1, `answer` is empty, and `scores` are 0.
        """

        def choose(text, choices):
            given = tf.shape(choices)[1]
            choices = _dense(choices)
            logits = task(self.features(text, choices), training=False)
            is_choice = choices != ""
            choice = tf.argmax(logits, axis=1, output_type=tf.int32)
            return {
                "choice": tf.where(tf.reduce_any(is_choice, axis=1), choice, -1),
                "answer": drop_invalid_utf8(tf.gather(choices, choice, batch_dims=1)),
                "scores": tf.where(is_choice, tf.nn.softmax(logits), 0.0)[:, :given],
            }

        return (TEXT, CHOICES), choose


def _dense(choices):
    """Pads choices with empty strings to a dense tensor of at least one column."""
    if isinstance(choices, list):
        choices = tf.ragged.constant(choices, tf.string, ragged_rank=1)
    if isinstance(choices, tf.RaggedTensor):
        choices = choices.to_tensor("")
    missing = tf.maximum(1 - tf.shape(choices)[1], 0)
    return tf.pad(choices, [[0, 0], [0, missing]], constant_values="")
