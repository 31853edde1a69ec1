"""Finds the best spans from token logits, with core TensorFlow ops that any server has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kerasbert.layers.choices import NEVER
from kerasbert.lazy import tensorflow as tf


class Spans(NamedTuple):
    """Candidate spans of text, (rows, spans) each.

    Attributes:
        logits: float32; `NEVER` for padding.
        starts: index of the first byte, int64.
        ends: index after the last byte, int64.
    """

    logits: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor


#: Padding values of spans.
NO_SPAN = (NEVER, 0, 0)


def of_second_text(logits: Any, begin: Any, length: Any) -> tf.Tensor:
    """Selects the logits of the second text's tokens.

    Args:
        logits: float32, (rows, sequence).
        begin: position of the text's first token, int64 (rows,).
        length: number of its tokens, int64 (rows,).

    Returns:
        (rows, tokens of the longest text, at least 1), padded with `NEVER`.
    """
    width = tf.reduce_max(tf.concat([length, [1]], axis=0))
    position = tf.range(width)[tf.newaxis]
    inside = position < length[:, tf.newaxis]
    columns = tf.where(inside, begin[:, tf.newaxis] + position, 0)
    return tf.where(inside, tf.gather(logits, columns, batch_dims=1), NEVER)


def like(dense: Any, rows: tf.RaggedTensor) -> tf.Tensor:
    """Returns ragged rows as a tensor of the shape of `dense`, padded with zeros."""
    return rows.to_tensor(shape=tf.shape(dense, tf.int64))


def flat(values: Any) -> tf.Tensor:
    """Reshapes (rows, a, b) to (rows, a * b)."""
    rows, *others = tf.unstack(tf.shape(values))
    return tf.reshape(values, [rows, tf.reduce_prod(others)])


def best_spans(
    start_logits: Any, end_logits: Any, starts: Any, ends: Any, n: int, longest: int
) -> Spans:
    """Returns the spans with the highest sums of start and end logits.

    Args:
        start_logits: float32, (rows, tokens), of the context's tokens only.
        end_logits: float32, (rows, tokens).
        starts: index of the first byte of each token's word, int64 (rows, tokens).
        ends: index after the word's last byte; 0 for padding.
        n: number of spans.
        longest: tokens per span.

    Returns:
        `n` different spans per row, the best first.
    """
    # A band above the diagonal of (tokens, tokens), stored as (tokens, longest).
    width = tf.shape(start_logits)[1]
    last = tf.range(width)[:, tf.newaxis] + tf.range(longest)[tf.newaxis]
    inside = last < width
    last = tf.minimum(last, width - 1)
    logits = start_logits[:, :, tf.newaxis] + tf.gather(end_logits, last, axis=1)
    ends = tf.gather(ends, last, axis=1)
    starts = tf.broadcast_to(starts[:, :, tf.newaxis], tf.shape(ends))
    logits = tf.where(inside & (starts < ends), logits, NEVER)
    return distinct(Spans(flat(logits), flat(starts), flat(ends)), n)


def distinct(spans: Spans, n: int) -> Spans:
    """Returns the `n` best spans of each row, the best first, without duplicates."""
    best = []
    # Append an impossible span, so that there always is one.
    one_more = [[0, 0], [0, 1]]
    spans = Spans(
        *(tf.pad(x, one_more, constant_values=y) for x, y in zip(spans, NO_SPAN, strict=True))
    )
    logits = spans.logits
    for _ in range(n):
        position = tf.argmax(logits, axis=1)  # the first of equal logits
        one = Spans(*(tf.gather(x, position, batch_dims=1) for x in (logits, *spans[1:])))
        same = (spans.starts == one.starts[:, tf.newaxis]) & (spans.ends == one.ends[:, tf.newaxis])
        logits = tf.where(same, NEVER, logits)
        best.append(one)
    best = Spans(*(tf.stack(column, axis=1) for column in zip(*best, strict=True)))
    there = best.logits > NEVER
    return Spans(best.logits, *(tf.where(there, x, 0) for x in best[1:]))


def with_null(spans: Spans, null: Any, wins: Any) -> Spans:
    """Inserts the empty span into the ranking; the number of spans stays the same.

    Args:
        spans: spans, the best first.
        null: logit of the empty span, float32 (rows,).
        wins: whether the empty span comes first, bool (rows,); otherwise it is ranked by its
            logit, but below the best span.
    """
    position = tf.where(wins, tf.float32.max, tf.minimum(null, spans.logits[:, 0]))
    order = tf.concat([spans.logits, position[:, tf.newaxis]], axis=1)
    _, columns = tf.math.top_k(order, spans.logits.shape[1])  # the first of equal logits
    nowhere = tf.zeros_like(null, tf.int64)
    with_empty = (
        tf.concat([column, empty[:, tf.newaxis]], axis=1)
        for column, empty in zip(spans, (null, nowhere, nowhere), strict=True)
    )
    return Spans(*(tf.gather(column, columns, batch_dims=1) for column in with_empty))


def in_steps(
    function: Callable[..., Any], count: Any, size: int, specs: Sequence[tf.TensorSpec]
) -> list[Any]:
    """Calls a function on slices of `size` items until `count` items are done.

    Args:
        function: takes the index of a slice's first item, and returns tensors whose first
            dimension is the slice's items.
        count: number of items, int32.
        size: items per call.
        specs: specs of the returned tensors, with None for the items.

    Returns:
        The concatenated tensors of all calls.
    """
    steps = tf.maximum((count + size - 1) // size, 1)
    arrays = [
        tf.TensorArray(spec.dtype, steps, element_shape=spec.shape, infer_shape=False)
        for spec in specs
    ]

    def step(i, arrays):
        values = function(i * size)
        return i + 1, [array.write(i, x) for array, x in zip(arrays, values, strict=True)]

    # One iteration at a time, to bound the memory.
    _, arrays = tf.while_loop(lambda i, _: i < steps, step, (0, arrays), parallel_iterations=1)
    return [array.concat() for array in arrays]
