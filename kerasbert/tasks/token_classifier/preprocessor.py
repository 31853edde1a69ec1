"""Preprocessing for token classification: windows of sentences, and labels of words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from kerasbert.data.inputs import length, numbers, plain
from kerasbert.data.text_batches import Rows, text_tensor
from kerasbert.data.windows import by_row, overlapping_windows
from kerasbert.errors import InputError
from kerasbert.features import TEXT, TOKEN_IDS, WORDS
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.graphs import outputs_of
from kerasbert.tasks.labels import class_indices, class_weight_table, weights_by_class
from kerasbert.tasks.preprocessor import Preprocessor
from kerasbert.text import bytes_to_characters

_WINDOWS_AT_ONCE = 32  # bounds the memory: a text of a megabyte has thousands of windows


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TokenClassifierPreprocessor(Preprocessor):
    """Turns sentences and labels into windows and targets; see `TokenClassifier`.

    Attributes:
        classes: class names.
        stride: tokens from the start of a window to the start of the next; None: half a window.
    """

    classes: Sequence[str]
    stride: int | None = None

    text_columns = ((WORDS,), (TEXT,))
    reads_windows = True

    def rows(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Returns windows, with a label and a weight per token; only deciding tokens have weight.

        Args:
            x: lists of words, or rows.
            y: a list of class names or indices for each sentence.
            sample_weight: a number or a list of numbers for each sentence, or None.

        Raises:
            InputError: words and labels do not match; the message names the sentence.
        """
        if isinstance(x, Rows):
            return x
        columns = self.columns(x)
        if not length(next(iter(columns.values()))):
            raise InputError(f"{self.name}: there are no examples")
        if WORDS not in columns or y is None:
            raise InputError(
                f"{self.name} learns from lists of words and of labels, "
                "such as [['A', 'dog']] with [['O', 'B-animal']]"
            )
        words = text_tensor(WORDS, columns[WORDS])
        lengths = words.row_lengths().numpy()
        labels = self.class_indices_of_words(y, lengths)
        weights = np.ones(lengths.sum(), "float32")
        if sample_weight is not None:
            weights = np.concatenate([[], *_lists("sample_weight", sample_weight, lengths)])
            weights = numbers("sample_weight", weights)
        ids, word, decides = self.windows(words)
        return Rows(
            {TOKEN_IDS: ids},
            word.with_values(tf.gather(tf.constant(labels, tf.int32), word.values)),
            word.with_values(
                tf.where(decides.values, tf.gather(tf.cast(weights, tf.float32), word.values), 0.0)
            ),
        )

    def weighted(self, rows: Any, class_weight: Any) -> Any:
        """Multiplies the weight of every token by the weight of its class."""
        if class_weight is None:
            return rows, None
        table = class_weight_table(class_weight, self.classes)
        weights = weights_by_class(rows.y.values, table, rows.sample_weight.values)
        weighted = rows.sample_weight.with_values(tf.constant(weights))
        return dataclasses.replace(rows, sample_weight=weighted), None

    def training_examples(
        self, number: Any, row: dict[str, Any], y: Any, sample_weight: Any
    ) -> tuple[Any, ...]:
        """Returns features, and the labels and weights of their tokens."""
        features = self.packer.pack(row[TOKEN_IDS], pad_to_longest=True)
        return features, _beside(features, y), _beside(features, sample_weight)

    def class_indices_of_words(self, y: Any, lengths: Any) -> np.ndarray:
        """Returns the class indices of all words, concatenated.

        Args:
            y: a list of class names or indices for each sentence.
            lengths: number of words of each sentence.
        """
        for number, own in enumerate(plain(y)):
            if isinstance(own, str | bytes) or not isinstance(own, Iterable):
                raise InputError(
                    f"y[{number}] must be a list of labels, one for each word, found {own!r}"
                )
        sentences = _lists("y", y, lengths)
        flat = [label for labels in sentences for label in labels]
        try:
            return class_indices("y", flat, self.classes)
        except InputError:
            for position, labels in enumerate(sentences):  # finds the sentence for the message
                class_indices(f"y[{position}]", labels, self.classes)
            raise

    def windows(self, words: Any, *, every_token: bool = False) -> Any:
        """Cuts sentences into windows, in the graph.

        Args:
            words: strings, ragged (sentences, words).
            every_token: whether all tokens of a word decide, each in one window, or just its first.

        Returns:
            Ragged (windows, tokens): the token ids; the index of each token's word among all words;
            and whether the token decides.
        """
        subwords = self.tokenizer.tokenize_words(words.values)
        ids, word = subwords.values, subwords.value_rowids()
        first = tf.equal(tf.range(tf.size(ids, tf.int64)), tf.gather(subwords.row_starts(), word))
        tokens = words.with_values(subwords).merge_dims(1, 2).row_lengths()
        positions, decides = deciding_windows(tokens, *self._window)
        ids, word, first = (
            positions.with_values(tf.gather(x, positions.values)) for x in (ids, word, first)
        )
        return ids, word, decides.with_values(decides.values & (first.values | every_token))

    @property
    def _window(self) -> tuple[int, int]:
        """The size of a window and the stride, in tokens."""
        size = self.packer.text_room
        return size, self.stride or (size + 1) // 2

    def sequences(self, text: Any) -> dict[str, Any]:
        """Returns the tokens of all windows of each text, (batch, windows, tokens)."""
        words, _, _ = self.words_of_text(text)
        subwords = words.with_values(self.tokenizer.tokenize_words(words.values))
        ids = subwords.merge_dims(1, 2)
        positions, _ = deciding_windows(ids.row_lengths(), *self._window)
        windows = positions.with_values(tf.gather(ids.flat_values, positions.values))
        row, _, _ = overlapping_windows(ids.row_lengths(), *self._window)
        features = self.packer.pack(windows, pad_to_longest=True)
        return by_row(features, row, ids.nrows(), {TOKEN_IDS: self.tokenizer.pad_id})

    # === Outputs of words, in the graph ===

    def word_logits(self, task: Any, words: Any) -> Any:
        """Returns the logits of every word, computed a few windows at a time, in the graph.

        Args:
            task: the model.
            words: strings, ragged (sentences, words).

        Returns:
            float32, (all words, classes), concatenated.
        """
        ids, _, decides = self.windows(words)
        return self.logits(task, ids, decides)

    def logits(self, task: Any, ids: Any, decides: Any) -> Any:
        """Returns the logits of the tokens that decide, concatenated."""
        count = tf.cast(ids.nrows(), tf.int32)
        steps = tf.maximum(-(-count // _WINDOWS_AT_ONCE), 1)
        outputs = tf.TensorArray(
            tf.float32, steps, infer_shape=False, element_shape=[None, len(self.classes)]
        )

        def step(number, outputs):
            begin = number * _WINDOWS_AT_ONCE
            end = tf.minimum(begin + _WINDOWS_AT_ONCE, count)
            features = self.packer.pack(ids[begin:end], pad_to_longest=True)
            chosen = _beside(features, decides[begin:end])
            logits = tf.boolean_mask(outputs_of(task, features), chosen)
            return number + 1, outputs.write(number, logits)

        _, outputs = tf.while_loop(
            lambda number, _: number < steps, step, (0, outputs), parallel_iterations=1
        )
        return outputs.concat()

    def words_of_text(self, text: Any) -> tuple[Any, ...]:
        """Splits texts into words, with starts and ends, ragged; see `Tokenizer.split_words`.

        Offsets are in bytes of the UTF-8 texts, in which U+FFFD replaces invalid bytes.
        """
        return self.tokenizer.split_words(valid_text(text))

    def serving_signature(self, task: Any) -> tuple[tuple[str, ...], Callable[..., Any]]:
        """Maps `text` to `words`, `labels`, `scores`, `starts` and `ends` of words, and `lengths`.

        `starts` and `ends` are in characters. Rows are padded to the longest; `lengths` is the
        number of words. Invalid UTF-8 is replaced by U+FFFD, and NUL in a word by U+0001.
        """

        def tag(text):
            words, starts, ends = self.words_of_text(text)
            scores = tf.nn.softmax(self.word_logits(task, words))
            labels = tf.gather(tf.constant(self.classes), tf.argmax(scores, axis=-1))
            valid = valid_text(text)
            return {
                "words": words.to_tensor(),
                "labels": words.with_values(labels).to_tensor(),
                "scores": words.with_values(tf.reduce_max(scores, axis=-1)).to_tensor(),
                "starts": bytes_to_characters(valid, starts).to_tensor(),
                "ends": bytes_to_characters(valid, ends).to_tensor(),
                "lengths": words.row_lengths(),
            }

        return (TEXT,), tag


# === Sentences ===


def valid_text(text: Any) -> Any:
    """Returns valid UTF-8, in which U+FFFD replaces invalid bytes."""
    text = tf.convert_to_tensor(text, tf.string)
    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")


def _lists(name: str, values, lengths: Sequence[int]) -> list:
    """Returns a list of values for each sentence; a single value is repeated for each word."""
    values = plain(values)
    if len(values) != len(lengths):
        raise InputError(f"there are {len(lengths)} sentences, but {name} has {len(values)}")
    lists = [
        plain(own) if isinstance(own, Iterable) else [own] * int(count)
        for own, count in zip(values, lengths, strict=True)
    ]
    for number, (own, count) in enumerate(zip(lists, lengths, strict=True)):
        if len(own) != count:
            raise InputError(f"sentence {number} has {count} words, but {len(own)} in {name}")
    return lists


# === Windows ===


def deciding_windows(lengths: Any, size: int, stride: int) -> tuple[Any, ...]:
    """Cuts rows of tokens into windows, and decides in which window each token counts.

    The last window of a row ends with the row, and is as long as the others.

    Args:
        lengths: number of tokens of each row, int64 (rows,).
        size: tokens per window.
        stride: tokens from the start of a window to the start of the next, in [1, size].

    Returns:
        Two ragged tensors (windows, tokens), row after row: the indices of the windows' tokens in
        the concatenation of all rows, int64; and whether the token counts in this window, bool. A
        token counts in the window where its shorter side has the most context, the first of two
        equal ones; each token counts once.
    """
    row, begin, _ = overlapping_windows(lengths, size, stride)
    length = tf.gather(lengths, row)
    begin = tf.minimum(begin, tf.maximum(length - size, 0))
    end = tf.minimum(begin + size, length)
    # Windows of a row have the same length, so they change in the middle of their overlap.
    next_in_row = tf.equal(row[1:], row[:-1])
    middle = (begin[1:] + end[:-1] + 1) // 2
    first = tf.concat([begin[:1], tf.where(next_in_row, middle, begin[1:])], axis=0)
    limit = tf.concat([tf.where(next_in_row, middle, end[:-1]), end[-1:]], axis=0)

    offset = tf.gather(tf.cumsum(lengths, exclusive=True), row)
    positions = tf.ragged.range(offset + begin, offset + end)
    first, limit = (tf.gather(offset + x, positions.value_rowids()) for x in (first, limit))
    return positions, positions.with_values(
        (first <= positions.values) & (positions.values < limit)
    )


def _beside(features: dict, values):
    """Aligns ragged values of tokens, (batch, tokens), with the positions of packed features."""
    width = tf.shape(features[TOKEN_IDS])[1]
    dense = values.to_tensor(shape=tf.stack([-1, width - 1]))
    return tf.pad(dense, [[0, 0], [1, 0]])  # no value for [CLS]
