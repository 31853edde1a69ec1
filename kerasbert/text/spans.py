"""Where in texts something was found, and what stands between; also of texts that were changed."""

from __future__ import annotations

from typing import NamedTuple

from kerasbert.lazy import tensorflow as tf
from kerasbert.text.offsets import at_places, count_at_most


class Spans(NamedTuple):
    """Added tokens in texts, one after the other, row by row; int64, (tokens,), in bytes.

    Attributes:
        rows: which text a token is in.
        ids: the token's id.
        starts: where it starts, with the white space that it takes with it.
        ends: where that ends.
        first: where the token itself starts.
        last: where it ends.
    """

    rows: tf.Tensor
    ids: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor

    def moved(self, rows: tf.Tensor, begins: tf.Tensor) -> Spans:
        """Of parts of texts: as spans of the texts, that they are in and where they begin there."""
        by = tf.gather(begins, self.rows)
        offsets = (offset + by for offset in self[2:])
        return Spans(tf.gather(rows, self.rows), self.ids, *offsets)


class Segments(NamedTuple):
    """What stands between added tokens, and which of them follows.

    Attributes:
        texts: the parts, string, (parts,).
        splits: where each text's parts start among all, int64, (batch + 1,).
        begins: where in its text each part begins, in bytes, int64, (parts,).
        following: the id of the token behind each part, int64; -1 for none.
        first: where that token starts, int64.
        last: where it ends.
    """

    texts: tf.Tensor
    splits: tf.Tensor
    begins: tf.Tensor
    following: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor


def whole(texts: tf.Tensor) -> Segments:
    """Texts without any added token, (batch,)."""
    count = tf.size(texts, tf.int64)
    none, zero = tf.fill([count], tf.constant(-1, tf.int64)), tf.zeros([count], tf.int64)
    return Segments(texts, tf.range(count + 1), zero, none, zero, zero)


def cut(texts: tf.Tensor, spans: Spans) -> Segments:
    """Cuts texts, (batch,), at the added tokens in them."""
    ragged = tf.RaggedTensor.from_value_rowids(
        spans.starts, spans.rows, tf.size(texts, tf.int64), validate=False
    )
    column = tf.zeros([tf.size(texts), 1], tf.int64)
    lengths = tf.cast(tf.strings.length(texts), tf.int64)[:, tf.newaxis]

    def behind(values, last):
        return tf.concat([ragged.with_values(values), last], axis=1).values

    begins = tf.concat([column, ragged.with_values(spans.ends)], axis=1)
    own = tf.gather(texts, begins.value_rowids())
    limits = behind(spans.starts, lengths)
    return Segments(
        tf.strings.substr(own, begins.values, tf.maximum(limits - begins.values, 0)),
        begins.row_splits,
        begins.values,
        behind(spans.ids, column - 1),
        behind(spans.first, column),
        behind(spans.last, column),
    )


def join(
    subwords: tf.RaggedTensor, parts: Segments, flat: tf.Tensor | None = None
) -> tf.RaggedTensor:
    """Inserts the added tokens between the subwords of the parts, ragged (parts, subwords).

    Args:
        subwords: a value for each subword of each part.
        parts: the parts.
        flat: the value of the token behind each part; None: its id.

    Returns:
        Ragged, (batch, tokens).
    """
    flat = parts.following if flat is None else flat

    def with_tokens():
        there = parts.following >= 0
        values = tf.cast(tf.boolean_mask(flat, there), subwords.dtype)
        tokens = tf.RaggedTensor.from_row_lengths(values, tf.cast(there, tf.int64), validate=False)
        joined = tf.concat([subwords, tokens], axis=1)
        return joined.values, joined.row_splits

    values, splits = tf.cond(
        tf.reduce_any(parts.following >= 0),
        with_tokens,
        lambda: (subwords.values, tf.cast(subwords.row_splits, tf.int64)),
    )
    return tf.RaggedTensor.from_row_splits(values, tf.gather(splits, parts.splits), validate=False)


class Normalized(NamedTuple):
    """Normalized texts, and where in the original their bytes come from.

    Attributes:
        texts: string, (batch,).
        begins: where in the normalized text a unit begins, such as what one character became; units
            of no bytes are left out. int64, ragged, (batch, units), as are the others.
        starts: where in the original the unit starts, in bytes.
        ends: where in the original it ends.
    """

    texts: tf.Tensor
    begins: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor

    def original(self, spans: Spans) -> Spans:
        """Spans in the normalized texts as spans in the original ones."""

        def of(units, values, offsets):
            sought = tf.RaggedTensor.from_value_rowids(
                offsets, spans.rows, tf.size(self.texts, tf.int64), validate=False
            )
            return at_places(values, count_at_most(units, sought) - 1).values

        starts, first = (of(self.begins, self.starts, x) for x in (spans.starts, spans.first))
        ends, last = (of(self.begins, self.ends, x - 1) for x in (spans.ends, spans.last))
        return Spans(spans.rows, spans.ids, starts, ends, first, last)


def align(units: tf.RaggedTensor, starts: tf.RaggedTensor, ends: tf.RaggedTensor) -> Normalized:
    """Joins what the units of each text have become; all are ragged, (batch, units)."""
    lengths = tf.cast(tf.strings.length(units.values), tf.int64)
    limits = tf.cumsum(lengths)
    before = limits - lengths
    firsts = tf.gather(tf.concat([before, limits[-1:]], axis=0), units.row_starts())
    begins = units.with_values(before - tf.gather(firsts, units.value_rowids()))
    there = units.with_values(lengths > 0)
    return Normalized(
        tf.strings.reduce_join(units, axis=1),
        *(tf.ragged.boolean_mask(x, there) for x in (begins, starts, ends)),
    )
