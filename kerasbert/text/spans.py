"""Spans of added tokens in texts, the segments between them, and alignment after normalization."""

from __future__ import annotations

from typing import NamedTuple

from kerasbert.lazy import tensorflow as tf
from kerasbert.text.offsets import at_positions, count_at_most


class Spans(NamedTuple):
    """The added tokens in a batch of texts, in order, row by row; int64, (tokens,).

    Offsets are in bytes.

    Attributes:
        rows: the index of the text that contains the token.
        ids: the id of the token.
        starts: the start of the token, including white space that belongs to it.
        ends: the end, exclusive, including white space that belongs to it.
        first: the start of the token itself.
        last: the end of the token itself, exclusive.
    """

    rows: tf.Tensor
    ids: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor

    def moved(self, rows: tf.Tensor, begins: tf.Tensor) -> Spans:
        """Converts spans in segments to spans in the texts that contain the segments.

        Args:
            rows: int64, (segments,), the index of the text that contains each segment.
            begins: int64, (segments,), the start of each segment in its text, in bytes.
        """
        by = tf.gather(begins, self.rows)
        offsets = (offset + by for offset in self[2:])
        return Spans(tf.gather(rows, self.rows), self.ids, *offsets)


class Segments(NamedTuple):
    """The segments of texts between added tokens, each with the token that follows it.

    Attributes:
        texts: string, (segments,).
        splits: int64, (batch + 1,), the row splits: the index of each text's first segment.
        begins: int64, (segments,), the start of each segment in its text, in bytes.
        following: int64, (segments,), the id of the token after each segment; -1 for none.
        first: int64, (segments,), the start of that token in the text.
        last: int64, (segments,), the end of that token in the text, exclusive.
    """

    texts: tf.Tensor
    splits: tf.Tensor
    begins: tf.Tensor
    following: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor


def whole(texts: tf.Tensor) -> Segments:
    """Returns each text, (batch,), as a single segment without added tokens."""
    count = tf.size(texts, tf.int64)
    none, zero = tf.fill([count], tf.constant(-1, tf.int64)), tf.zeros([count], tf.int64)
    return Segments(texts, tf.range(count + 1), zero, none, zero, zero)


def cut(texts: tf.Tensor, spans: Spans) -> Segments:
    """Splits texts, (batch,), at the added tokens in them."""
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
    """Inserts a value for each added token between the values of the segments' subwords.

    Args:
        subwords: ragged, (segments, subwords), a value for each subword.
        parts: `Segments`.
        flat: (segments,), the value of the token after each segment. Defaults to the token's id.

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


class PreparedSegments(NamedTuple):
    """Segments of texts that are prepared separately; int64, ragged, (batch, segments).

    Offsets are in bytes.

    Attributes:
        original: the start of a segment in the original text.
        starts: the start of its prepared form in the prepared text.
        ends: the end of its prepared form, exclusive.
    """

    original: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor


class Normalized(NamedTuple):
    """Normalized texts, with the origin of each of their bytes.

    A unit is what one character of the original becomes, for example. Units that become empty are
    omitted. All offsets are in bytes: int64, ragged, (batch, units).

    Attributes:
        texts: string, (batch,), the normalized texts.
        begins: the start of each unit in the normalized text.
        starts: the start of each unit in the original text.
        ends: the end of each unit in the original text, exclusive.
    """

    texts: tf.Tensor
    begins: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor

    def original(self, spans: Spans) -> Spans:
        """Converts spans in the normalized texts to spans in the original texts."""

        def of(units, values, offsets):
            sought = tf.RaggedTensor.from_value_rowids(
                offsets, spans.rows, tf.size(self.texts, tf.int64), validate=False
            )
            return at_positions(values, count_at_most(units, sought) - 1).values

        starts, first = (of(self.begins, self.starts, x) for x in (spans.starts, spans.first))
        ends, last = (of(self.begins, self.ends, x - 1) for x in (spans.ends, spans.last))
        return Spans(spans.rows, spans.ids, starts, ends, first, last)


def align(units: tf.RaggedTensor, starts: tf.RaggedTensor, ends: tf.RaggedTensor) -> Normalized:
    """Joins the normalized units of each text.

    Args:
        units: string, ragged, (batch, units), the normalized units.
        starts: int64, ragged, (batch, units), the start of each unit in the original text.
        ends: int64, ragged, (batch, units), the end of each unit in the original text, exclusive.
    """
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
