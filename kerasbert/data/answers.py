"""Where answers are: from characters of a context to its tokens."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasbert.errors import InputError


def first_answers(contexts: Sequence[str], labels: Sequence[dict]) -> np.ndarray:
    """The first answer of each label, in bytes of its context.

    Args:
        contexts: strings.
        labels: a dict of `text` and `answer_start` (in characters) for each, lists that are empty
            if there is no answer.

    Returns:
        Start and end, int64 (examples, 2); zeros if there is no answer.

    Raises:
        InputError: a label that has another form, or an answer that its context has not there.
    """
    if len(labels) != len(contexts):
        raise InputError(f"expected {len(contexts)} labels, found {len(labels)}")
    places = np.zeros([len(contexts), 2], np.int64)
    for i, (context, label) in enumerate(zip(contexts, labels, strict=True)):
        if not isinstance(label, dict) or not {"text", "answer_start"} <= label.keys():
            raise InputError(f"label {i} must be a dict of text and answer_start, found {label!r}")
        if not len(label["text"]):
            continue
        text, start = label["text"][0], int(label["answer_start"][0])
        if start < 0 or not text or not context.startswith(text, start):
            raise InputError(f"label {i}: its context has no {text!r} at character {start}")
        before = len(context[:start].encode())
        places[i] = before, before + len(text.encode())
    return places


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
        place = tf.searchsorted(table, sought + tf.gather(bases, document), side, tf.int64)
        return place - tf.gather(offsets.row_starts(), document)

    first = tokens_before(ends, answers[:, 0], "right")
    last = tokens_before(starts, answers[:, 1], "left") - 1
    wordless = (last < first).numpy() & (answers[:, 1] > 0)
    if wordless.any():
        raise InputError(f"label {wordless.argmax()}: its answer has no part of a word")
    return first, last
