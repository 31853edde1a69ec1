"""Computes the logits of words or tokens of sentences, batch by batch."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kerasbert.data.inputs import as_string, checked_size, plain
from kerasbert.features import TEXT, WORDS
from kerasbert.lazy import tensorflow as tf
from kerasbert.tasks.token_classifier.preprocessor import valid_text
from kerasbert.text import bytes_to_characters
from kerasbert.training.progress import advance


def logits_of_words(task: Any, columns: dict[str, Any], batch_size: int | None) -> list[np.ndarray]:
    """Returns the logits of the words of raw columns, (words, classes) for each sentence."""
    return list(itertools.chain.from_iterable(batches_of_words(task, columns, batch_size)))


def batches_of_words(
    task: Any, columns: dict[str, Any], batch_size: int | None
) -> Iterator[list[np.ndarray]]:
    """Yields what `logits_of_words` returns, batch by batch."""
    ((name, column),) = columns.items()
    values: Any = plain(column)
    batch_size = checked_size(batch_size)
    for begin in range(0, len(values), batch_size):
        rows = values[begin : begin + batch_size]
        if name == TEXT:
            logits, lengths = task._graph(_of_text, task.preprocessor)(tf.constant(rows))
        else:
            words, lengths = _flat(rows)
            logits = task._graph(_of_words, task.preprocessor)(words, lengths)
        advance(len(rows))
        yield np.split(logits.numpy(), np.cumsum(lengths.numpy())[:-1])


def logits_of_tokens(
    task: Any, words: list[list[Any]], batch_size: int
) -> Iterator[list[tuple[Any, ...]]]:
    """Yields, for each sentence, a list of the token ids and token logits of each word."""
    batch_size = checked_size(batch_size)
    for begin in range(0, len(words), batch_size):
        rows = words[begin : begin + batch_size]
        logits, ids, splits = task._graph(_of_tokens, task.preprocessor)(*_flat(rows))
        cuts = splits.numpy()[1:-1]
        pairs = zip(*(np.split(x.numpy(), cuts) for x in (ids, logits)), strict=True)
        for row in rows:
            yield list(itertools.islice(pairs, len(row)))


def sentences(
    preprocessor: Any, columns: dict[str, Any]
) -> tuple[list[str], list[list[Any]], list[list[tuple[Any, ...]]]]:
    """Returns the texts, their words, and each word's start and end in characters."""
    if TEXT in columns:
        text = valid_text(tf.constant(plain(columns[TEXT]), tf.string))
        words, *limits = preprocessor.words_of_text(text)
        limits = (bytes_to_characters(text, offsets).to_list() for offsets in limits)
        positions = [list(zip(*row, strict=True)) for row in zip(*limits, strict=True)]
        return [one.decode() for one in text.numpy()], words.to_list(), positions
    words, texts, positions = [list(row) for row in plain(columns[WORDS])], [], []
    for row in words:
        own = [as_string(word) for word in row]
        ends = np.cumsum([len(word) + 1 for word in own]) - 1
        texts.append(" ".join(own))
        positions.append([(int(e) - len(word), int(e)) for word, e in zip(own, ends, strict=True)])
    return texts, words, positions


def _flat(rows: Sequence[Sequence]) -> tuple:
    """Concatenates the words of sentences, and returns the number of each."""
    words = tf.constant([word for row in rows for word in row], tf.string)
    return words, tf.constant([*map(len, rows)], tf.int64)


# === In the graph ===


def _of_words(preprocessor, task):
    def logits(words, lengths):
        sentences = tf.RaggedTensor.from_row_lengths(words, lengths)
        return preprocessor.word_logits(task, sentences)

    return tf.function(logits, input_signature=_columns(2), autograph=False)


def _of_text(preprocessor, task):
    def logits(text):
        words, _, _ = preprocessor.words_of_text(text)
        return preprocessor.word_logits(task, words), words.row_lengths()

    return tf.function(logits, input_signature=_columns(1), autograph=False)


def _of_tokens(preprocessor, task):
    def logits(words, lengths):
        sentences = tf.RaggedTensor.from_row_lengths(words, lengths)
        ids, _, decides = preprocessor.windows(sentences, every_token=True)
        subwords = preprocessor.tokenizer.tokenize_words(words)
        return (
            preprocessor.logits(task, ids, decides),
            subwords.values,
            subwords.row_splits,
        )

    return tf.function(logits, input_signature=_columns(2), autograph=False)


def _columns(count: int) -> list:
    """Returns an input signature: strings and, if `count` is 2, lengths."""
    return [tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int64)][:count]
