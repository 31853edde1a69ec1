"""Long texts -> features in chunks, several for each text of a batch; in the graph."""

from __future__ import annotations

from kerasbert.features import TOKEN_IDS
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.packing import TextPacker


def chunk_room(packer: TextPacker, *, max_chunks: int, overlap: int = 0) -> int:
    """Tokens of a text that `chunk_features` looks at."""
    return packer.text_room + (max_chunks - 1) * (packer.text_room - overlap)


def chunk_features(packer: TextPacker, text, *, max_chunks: int, overlap: int = 0) -> dict:
    """Features of texts in chunks.

    A text of up to `packer.sequence_length` tokens is one chunk, the same that `packer` makes of
    it. What is beyond `max_chunks` is not looked at.

    Args:
        packer: its `sequence_length` is a chunk's.
        text: string tensor, (batch,).
        max_chunks: chunks a text may have.
        overlap: tokens that a chunk repeats of the one before it.

    Returns:
        `token_ids`, `padding_mask` and `segment_ids`, int32, (batch, chunks, sequence), as many
        chunks as the longest text has. Chunks that a text lacks are padding throughout.
    """
    tokens = packer.tokenizer.tokenize(text)
    chunks, counts = cut(tokens, packer.text_room, max_chunks=max_chunks, overlap=overlap)
    fill = {TOKEN_IDS: packer.tokenizer.pad_id}
    return {
        name: tf.RaggedTensor.from_row_lengths(rows, counts).to_tensor(fill.get(name, 0))
        for name, rows in packer.pack(chunks, pad_to_longest=True).items()
    }


def cut(tokens, size: int, *, max_chunks: int, overlap: int = 0):
    """Cuts every row into chunks; an empty row is one empty chunk.

    Args:
        tokens: ragged, (batch, tokens).
        size: tokens a chunk may have.
        max_chunks: chunks a row may have; what is beyond them is dropped.
        overlap: tokens that a chunk repeats of the one before it; less than `size`.

    Returns:
        The chunks, ragged (all chunks, tokens), row after row, and the number of each row's,
        (batch,).
    """
    step = size - overlap
    lengths, starts = tokens.row_lengths(), tokens.row_starts()
    counts = tf.clip_by_value(-((overlap - lengths) // step), 1, max_chunks)
    chunk_of_row = tf.ragged.range(counts)
    rows = chunk_of_row.value_rowids()
    begins = chunk_of_row.flat_values * step
    ends = tf.minimum(begins + size, tf.gather(lengths, rows))
    positions = tf.ragged.range(tf.gather(starts, rows) + begins, tf.gather(starts, rows) + ends)
    return positions.with_flat_values(tf.gather(tokens.flat_values, positions.flat_values)), counts
