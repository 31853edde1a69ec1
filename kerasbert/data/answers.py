"""Labels of questions: from characters of a context to tokens."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasbert.data.inputs import as_string, plain
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf


def answer_labels(y: Any, count: int) -> list[dict[str, Any]]:
    """Converts the labels of questions to a common form.

    Args:
        y: for each question, a dict of `text` and optionally `answer_start` (in characters), as in
            SQuAD: a string and an integer, or lists of all right answers; or only the strings.
        count: integer, the number of questions.

    Returns:
        List of dicts of `text` and `answer_start`, both lists, empty if there is no answer.
        `answer_start` is None if it is not given.

    Raises:
        InputError: the number of labels differs from `count`, or a label has another form.
    """
    y = plain(y)
    if isinstance(y, Mapping):
        if not isinstance(y.get("text"), list | tuple) or not {*y} <= {"text", "answer_start"}:
            raise InputError(f"labels must be a list, one for each question, found {y!r:.80}")
        names, counts = list(y), {len(plain(column)) for column in y.values()}
        if len(counts) > 1:
            raise InputError(f"the lists of labels differ in length, found {y!r:.80}")
        y = [dict(zip(names, row, strict=True)) for row in zip(*y.values(), strict=True)]
    if len(y) != count:
        raise InputError(f"there are {count} questions, but y has {len(y)}")
    return [_answer_label(position, label) for position, label in enumerate(y)]


def _answer_label(position: int, label) -> dict:
    given = label if isinstance(label, Mapping) else {"text": label}
    texts, starts = given.get("text"), given.get("answer_start")
    texts = [texts] if isinstance(texts, str | bytes) else texts
    texts = None if texts is None or isinstance(texts, Mapping) else plain(texts)
    if texts is None or not all(isinstance(text, str | bytes) for text in texts):
        raise InputError(
            f"y[{position}] must be an answer, a list of answers, or a dict of text and "
            f"answer_start; found {label!r:.80}"
        )
    texts = [as_string(text) for text in texts]
    if texts == [""]:  # no answer
        return {"text": [], "answer_start": []}
    if starts is not None:
        starts = plain(starts)
        if len(starts) != len(texts) or not all(map(_is_place, starts)):
            raise InputError(
                f"y[{position}] must have one integer in answer_start for each text, found "
                f"{label!r:.80}"
            )
        starts = [int(start) for start in starts]
    return {"text": texts, "answer_start": starts}


def _is_place(start) -> bool:
    return isinstance(start, numbers.Integral) and not isinstance(start, bool)


def first_answers(contexts: Sequence[str], labels: Sequence[dict[str, Any]]) -> np.ndarray:
    """Returns the span of the first answer of each label, in bytes of its context.

    Args:
        contexts: list of strings.
        labels: the result of `answer_labels`. An answer without `answer_start` must occur in its
            context exactly once.

    Returns:
        Start and end (exclusive), int64, (examples, 2); zeros if there is no answer.

    Raises:
        InputError: a context does not contain the answer at its start.
    """
    positions = np.zeros([len(contexts), 2], np.int64)
    for i, (context, label) in enumerate(zip(contexts, labels, strict=True)):
        if not label["text"]:
            continue
        text = label["text"][0]
        start = label["answer_start"][0] if label["answer_start"] else _only_place(i, context, text)
        if start < 0 or not text or not context.startswith(text, start):
            raise InputError(f"y[{i}]: the context does not contain {text!r} at character {start}")
        before = len(context[:start].encode())
        positions[i] = before, before + len(text.encode())
    return positions


def _only_place(number: int, context: str, text: str) -> int:
    """Returns the start of a text that occurs exactly once in the context."""
    start = context.find(text)
    if not text or start < 0:
        raise InputError(f"y[{number}]: the context does not contain {text!r}")
    if context.find(text, start + 1) >= 0:
        raise InputError(
            f"y[{number}]: the context contains {text!r} more than once; give answer_start"
        )
    return start


def tokens_of(
    answers: np.ndarray, document: Any, documents: Any, starts: Any, ends: Any
) -> tuple[Any, ...]:
    """Returns the range of tokens whose words overlap each answer.

    Args:
        answers: int64, (examples, 2), start and end in bytes.
        document: int64, (examples,), the index of each answer's document.
        documents: string, (documents,).
        starts: int64, ragged, (documents, tokens), the first byte of each token's word.
        ends: int64, ragged, (documents, tokens), the end of each token's word, exclusive.

    Returns:
        First and last token (inclusive), int64, (examples,) each; arbitrary values where there is
        no answer.

    Raises:
        InputError: an answer overlaps no word.
    """
    # One sorted table for all documents: the offsets of each are shifted by the bytes before it.
    lengths = tf.cast(tf.strings.length(documents), tf.int64)
    bases = tf.cumsum(lengths + 1, exclusive=True)

    def tokens_before(offsets, sought, side):
        """Counts the tokens of the document with a lower offset (or an equal one, for "right")."""
        table = offsets.flat_values + tf.gather(bases, offsets.value_rowids())
        position = tf.searchsorted(table, sought + tf.gather(bases, document), side, tf.int64)
        return position - tf.gather(offsets.row_starts(), document)

    first = tokens_before(ends, answers[:, 0], "right")
    last = tokens_before(starts, answers[:, 1], "left") - 1
    wordless = (last < first).numpy() & (answers[:, 1] > 0)
    if wordless.any():
        raise InputError(f"y[{wordless.argmax()}]: the answer contains no part of a word")
    return first, last
