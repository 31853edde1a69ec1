"""Where answers are: from characters of a context to its tokens."""

import numbers
from collections.abc import Mapping, Sequence

import numpy as np

from kerasbert.data.inputs import plain
from kerasbert.errors import InputError
from kerasbert.lazy import tensorflow as tf


def answer_labels(y, count: int) -> list[dict]:
    """Labels of questions in one form.

    Args:
        y: for each question a dict of `text` and perhaps `answer_start` (in characters), as SQuAD
            has them: a string and a number, or lists of all right answers; or only the strings.
        count: how many questions there are.

    Returns:
        Dicts of `text` and `answer_start`, lists that are empty if there is no answer; the second
        is None if it is not given.

    Raises:
        InputError: another number of labels, or one in another form.
    """
    y = plain(y)
    if isinstance(y, Mapping):
        if not isinstance(y.get("text"), list | tuple) or not {*y} <= {"text", "answer_start"}:
            raise InputError(f"labels must be a list with one for each question, found {y!r:.80}")
        names = list(y)
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
            f"y[{position}] must be an answer, a list of them, or a dict of text and answer_start; "
            f"found {label!r:.80}"
        )
    texts = [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in texts]
    if texts == [""]:  # as there is none
        return {"text": [], "answer_start": []}
    if starts is not None:
        starts = plain(starts)
        if len(starts) != len(texts) or not all(map(_is_place, starts)):
            raise InputError(
                f"y[{position}] must have as many numbers as answer_start as it has texts, found "
                f"{label!r:.80}"
            )
        starts = [int(start) for start in starts]
    return {"text": texts, "answer_start": starts}


def _is_place(start) -> bool:
    return isinstance(start, numbers.Integral) and not isinstance(start, bool)


def first_answers(contexts: Sequence[str], labels: Sequence[dict]) -> np.ndarray:
    """The first answer of each label, in bytes of its context.

    Args:
        contexts: strings.
        labels: as `answer_labels` gives them, one for each. An answer without `answer_start` must
            be in its context once.

    Returns:
        Start and end, int64 (examples, 2); zeros if there is no answer.

    Raises:
        InputError: an answer that its context has not there.
    """
    positions = np.zeros([len(contexts), 2], np.int64)
    for i, (context, label) in enumerate(zip(contexts, labels, strict=True)):
        if not label["text"]:
            continue
        text = label["text"][0]
        start = label["answer_start"][0] if label["answer_start"] else _only_place(i, context, text)
        if start < 0 or not text or not context.startswith(text, start):
            raise InputError(f"y[{i}]: its context has no {text!r} at character {start}")
        before = len(context[:start].encode())
        positions[i] = before, before + len(text.encode())
    return positions


def _only_place(number: int, context: str, text: str) -> int:
    """Where a text is that is in a context once."""
    start = context.find(text)
    if not text or start < 0:
        raise InputError(f"y[{number}]: its context has no {text!r}")
    if context.find(text, start + 1) >= 0:
        raise InputError(
            f"y[{number}]: its context has {text!r} more than once; say where with answer_start"
        )
    return start


def tokens_of(answers: np.ndarray, document, documents, starts, ends) -> tuple:
    """The tokens of all words that an answer has a part of.

    Args:
        answers: start and end in bytes, int64 (examples, 2).
        document: the number of the document that each is in, int64 (examples,).
        documents: strings.
        starts: first byte of each token's word, int64, ragged (documents, tokens).
        ends: the byte after its last.

    Returns:
        First and last token, int64 (examples,); without meaning where there is no answer.

    Raises:
        InputError: an answer has no part of a word.
    """
    # One sorted table for all documents: each one's offsets, moved up by the bytes before it.
    lengths = tf.cast(tf.strings.length(documents), tf.int64)
    bases = tf.cumsum(lengths + 1, exclusive=True)

    def tokens_before(offsets, sought, side):
        """How many tokens of its document have a lower offset, or (on the right) the same."""
        table = offsets.flat_values + tf.gather(bases, offsets.value_rowids())
        position = tf.searchsorted(table, sought + tf.gather(bases, document), side, tf.int64)
        return position - tf.gather(offsets.row_starts(), document)

    first = tokens_before(ends, answers[:, 0], "right")
    last = tokens_before(starts, answers[:, 1], "left") - 1
    wordless = (last < first).numpy() & (answers[:, 1] > 0)
    if wordless.any():
        raise InputError(f"y[{wordless.argmax()}]: its answer has no part of a word")
    return first, last
