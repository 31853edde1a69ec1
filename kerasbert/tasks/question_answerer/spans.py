"""From the logits of tokens to the best spans of text, in core ops that every server links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kerasbert.lazy import tensorflow as tf

#: The logit of what can't be.
NEVER = -1e9


class Spans(NamedTuple):
    """Spans of text, (rows, spans), or what could be one.

    Attributes:
        logits: float32; `NEVER` where there is none.
        starts: the first byte, int64.
        ends: the byte after the last, int64.
    """

    logits: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor


#: What stands where there is no span.
NO_SPAN = Spans(NEVER, 0, 0)


def of_second_text(logits, begin, length) -> tf.Tensor:
    """The logits of the second text's tokens.

    Args:
        logits: float32, (rows, sequence).
        begin: where the text begins, int64 (rows,).
        length: tokens it has, int64 (rows,).

    Returns:
        (rows, tokens of the longest, at least 1); `NEVER` beyond the end of a row's text.
    """
    width = tf.reduce_max(tf.concat([length, [1]], axis=0))
    position = tf.range(width)[tf.newaxis]
    inside = position < length[:, tf.newaxis]
    columns = tf.where(inside, begin[:, tf.newaxis] + position, 0)
    return tf.where(inside, tf.gather(logits, columns, batch_dims=1), NEVER)


def like(dense, rows: tf.RaggedTensor) -> tf.Tensor:
    """Ragged rows as a tensor of the shape of `dense`, with zeros at the end."""
    return rows.to_tensor(shape=tf.shape(dense, tf.int64))


def flat(values) -> tf.Tensor:
    """(rows, a, b) as (rows, a * b)."""
    rows, *others = tf.unstack(tf.shape(values))
    return tf.reshape(values, [rows, tf.reduce_prod(others)])


def best_spans(start_logits, end_logits, starts, ends, n: int, longest: int) -> Spans:
    """The spans of the best sums of a start and an end token's logit.

    Args:
        start_logits: float32, (rows, tokens), of the context's tokens only.
        end_logits: float32, (rows, tokens).
        starts: first byte of each token's word, int64 (rows, tokens).
        ends: the byte after its last; 0 beyond a row's tokens.
        n: how many are wanted.
        longest: tokens a span may have.

    Returns:
        `n` different spans of each row, the best first.
    """
    # A band above the diagonal of tokens x tokens: (tokens, longest).
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
    """The `n` best of each row, the best first; one where several have the same start and end."""
    best = []
    # Beside all others one that is none, so that there is one.
    one_more = [[0, 0], [0, 1]]
    spans = Spans(
        *(tf.pad(x, one_more, constant_values=y) for x, y in zip(spans, NO_SPAN, strict=True))
    )
    logits = spans.logits
    for _ in range(n):
        position = tf.argmax(logits, axis=1)  # of equals the first
        one = Spans(*(tf.gather(x, position, batch_dims=1) for x in (logits, *spans[1:])))
        same = (spans.starts == one.starts[:, tf.newaxis]) & (spans.ends == one.ends[:, tf.newaxis])
        logits = tf.where(same, NEVER, logits)
        best.append(one)
    best = Spans(*(tf.stack(column, axis=1) for column in zip(*best, strict=True)))
    there = best.logits > NEVER
    return Spans(best.logits, *(tf.where(there, x, 0) for x in best[1:]))


def with_null(spans: Spans, null, wins) -> Spans:
    """As many spans as there are, one of which may now be the empty one.

    Args:
        spans: the best first.
        null: the empty span's logit, float32 (rows,).
        wins: whether it comes first, bool (rows,); if not, it comes where its logit puts it, but
            after the best span.
    """
    position = tf.where(wins, tf.float32.max, tf.minimum(null, spans.logits[:, 0]))
    order = tf.concat([spans.logits, position[:, tf.newaxis]], axis=1)
    _, columns = tf.math.top_k(order, spans.logits.shape[1])  # of equals the first
    nowhere = tf.zeros_like(null, tf.int64)
    with_empty = (
        tf.concat([column, empty[:, tf.newaxis]], axis=1)
        for column, empty in zip(spans, (null, nowhere, nowhere), strict=True)
    )
    return Spans(*(tf.gather(column, columns, batch_dims=1) for column in with_empty))


def in_steps(function: Callable, count, size: int, specs: Sequence[tf.TensorSpec]) -> list:
    """Calls a function of the first of `size` places, for all of `count` places one after another.

    Args:
        function: returns tensors whose first dimension is the places.
        count: how many places there are, int32.
        size: places a call.
        specs: what the function returns, with None for the places.

    Returns:
        The tensors of all calls, joined.
    """
    steps = tf.maximum((count + size - 1) // size, 1)
    arrays = [
        tf.TensorArray(spec.dtype, steps, element_shape=spec.shape, infer_shape=False)
        for spec in specs
    ]

    def step(i, arrays):
        values = function(i * size)
        return i + 1, [array.write(i, x) for array, x in zip(arrays, values, strict=True)]

    # One at a time, for that bounds the memory.
    _, arrays = tf.while_loop(lambda i, _: i < steps, step, (0, arrays), parallel_iterations=1)
    return [array.concat() for array in arrays]
