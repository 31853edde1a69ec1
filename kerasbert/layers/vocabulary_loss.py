"""Cross-entropy over a vocabulary that never keeps a logit for every position and token.

The vocabulary is read in parts: the loss needs a running maximum and a running sum of each position
(online softmax, Milakov and Gimelshein 2018), and the gradient computes every part's logits again
(Wijmans et al. 2024, "Cut Your Losses", §4). So memory holds the logits of one part instead of all,
for one more product with the table.
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

# A part's width is a multiple of this, as matrix units like it.
_ALIGNED = 64

_labels = contextvars.ContextVar("labels", default=None)


@contextlib.contextmanager
def labels_given(labels: Any) -> Iterator[None]:
    """Context in which `MLMHead` returns `outcomes` for these labels instead of logits.

    Args:
        labels: int32, (batch, masked); None: it returns logits.
    """
    token = _labels.set(labels)
    try:
        yield
    finally:
        _labels.reset(token)


def given_labels() -> Any:
    """Returns the labels of the `labels_given` context, or None."""
    return _labels.get()


def outcomes(vectors: Any, table: Any, bias: Any, labels: Any, parts: int) -> Any:
    """Returns loss and correctness of predicted tokens.

    The results and gradients are those of the logits `vectors @ table.T + bias` in float32.

    Args:
        vectors: float, (positions, width).
        table: float of the same dtype, (vocabulary, width).
        bias: float32, (vocabulary,).
        labels: int32, (positions,).
        parts: integer, in how many parts to read the vocabulary.

    Returns:
        float32, (positions, 2): the cross-entropy, NaN for a label outside the vocabulary, and 1.0
        where the label has the highest logit, else 0.0 (the first of equal logits wins).
    """
    cut = _Parts(table.shape[0], parts)

    @ops.custom_gradient
    def call(vectors, table, bias):
        total, loss, right = _forward(cut, vectors, table, bias, labels)

        def gradient(*upstream):
            upstream = keras.tree.flatten(upstream)[0][:, 0]
            return _backward(cut, vectors, table, bias, labels, total, upstream)

        return ops.stack([loss, right], axis=-1), gradient

    return call(vectors, table, bias)


class _Parts:
    """Equal parts of the vocabulary; the last one begins earlier, to end with it."""

    def __init__(self, vocabulary: int, parts: int):
        width = -(-vocabulary // parts)
        self.vocabulary = vocabulary
        self.width = min(vocabulary, -(-width // _ALIGNED) * _ALIGNED)
        self.count = -(-vocabulary // self.width)

    def first(self, part):
        """Returns the number of a part's first token."""
        return ops.minimum(part * self.width, self.vocabulary - self.width)

    def of(self, values, first):
        """Returns a part's rows."""
        start = (first, *(0 for _ in values.shape[1:]))
        return ops.slice(values, start, (self.width, *values.shape[1:]))

    def add(self, values, first, part):
        """Adds rows to those of a part."""
        start = (first, *(0 for _ in values.shape[1:]))
        return ops.slice_update(values, start, self.of(values, first) + part)

    def logits(self, part, vectors, table, bias) -> tuple:
        """Returns a part's logits, (positions, width), and its tokens, (width,).

        Tokens that an earlier part has had get the logit of minus infinity and the number -1.
        """
        first = self.first(part)
        tokens = first + ops.arange(self.width, dtype="int32")
        is_new = tokens >= part * self.width
        logits = ops.matmul(vectors, ops.transpose(self.of(table, first)))
        logits = ops.cast(logits, "float32") + self.of(bias, first)
        return ops.where(is_new, logits, -float("inf")), ops.where(is_new, tokens, -1)


def _forward(cut: _Parts, vectors, table, bias, labels) -> tuple:
    """Returns the log of the softmax's denominator, the loss, and whether labels are highest."""

    def add(part, found):
        highest, total, of_label, guess = found
        logits, tokens = cut.logits(part, vectors, table, bias)
        top = ops.max(logits, axis=-1)
        # The first of equal logits, as `argmax`.
        best = ops.where(logits == top[:, None], tokens, cut.vocabulary)
        best = ops.min(ops.where(tokens >= 0, best, cut.vocabulary), axis=-1)
        guess = ops.where(top > highest, best, guess)
        before, highest = highest, ops.maximum(highest, top)
        total = total * ops.exp(before - highest)
        total = total + ops.sum(ops.exp(logits - highest[:, None]), axis=-1)
        is_label = labels[:, None] == tokens
        of_label = of_label + ops.sum(ops.where(is_label, logits, 0.0), axis=-1)
        return highest, total, of_label, guess

    nothing = ops.zeros_like(vectors[:, 0], "float32")
    start = nothing - float("inf"), nothing, nothing, ops.zeros_like(labels)
    highest, total, of_label, guess = ops.fori_loop(0, cut.count, add, start)
    is_token = ops.logical_and(labels >= 0, labels < cut.vocabulary)
    total = ops.where(is_token, ops.log(total) + highest, float("nan"))
    return total, total - of_label, ops.cast(guess == labels, "float32")


def _backward(cut: _Parts, vectors, table, bias, labels, total, upstream) -> tuple:
    """Returns the gradients of vectors, table and bias."""

    def add(part, gradients):
        of_vectors, of_table, of_bias = gradients
        logits, tokens = cut.logits(part, vectors, table, bias)
        is_label = ops.cast(labels[:, None] == tokens, "float32")
        wrong = ops.exp(logits - total[:, None]) - is_label
        wrong = wrong * upstream[:, None]
        first = cut.first(part)
        of_bias = cut.add(of_bias, first, ops.sum(wrong, axis=0))
        wrong = ops.cast(wrong, vectors.dtype)
        more = ops.matmul(wrong, cut.of(table, first))
        of_vectors = of_vectors + ops.cast(more, "float32")
        more = ops.matmul(ops.transpose(wrong), vectors)
        return of_vectors, cut.add(of_table, first, more), of_bias

    start = ops.zeros_like(vectors, "float32"), ops.zeros_like(table), ops.zeros_like(bias)
    of_vectors, of_table, of_bias = ops.fori_loop(0, cut.count, add, start)
    return ops.cast(of_vectors, vectors.dtype), of_table, of_bias
