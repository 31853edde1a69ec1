"""Features of long texts in chunks, several for each text of a batch, as TensorFlow ops."""

from __future__ import annotations

from typing import Any

from kerasbert.features import TOKEN_IDS
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.packing import TextPacker


def chunk_room(packer: TextPacker, *, max_chunks: int, overlap: int = 0) -> int:
    """Returns the maximum number of tokens of a text that `chunk_features` uses."""
    return packer.text_room + (max_chunks - 1) * (packer.text_room - overlap)


def chunk_features(
    packer: TextPacker, text: Any, *, max_chunks: int, overlap: int = 0
) -> dict[str, Any]:
    """Computes the features of texts in chunks.

    A text that fits into `packer.sequence_length` is one chunk, identical to the row that `packer`
    makes of it. Tokens beyond `max_chunks` are ignored.

    Args:
        packer: `TextPacker`; its `sequence_length` is the length of a chunk.
        text: string tensor, (batch,).
        max_chunks: integer, the maximum number of chunks per text.
        overlap: integer, the number of tokens that a chunk shares with the previous one.

    Returns:
        Dict of `token_ids`, `padding_mask` and `segment_ids`, int32, (batch, chunks, sequence),
        where `chunks` is that of the longest text. Missing chunks of shorter texts are all padding.
    """
    tokens = packer.tokenizer.tokenize(text)
    chunks, counts = cut(tokens, packer.text_room, max_chunks=max_chunks, overlap=overlap)
    fill = {TOKEN_IDS: packer.tokenizer.pad_id}
    return {
        name: tf.RaggedTensor.from_row_lengths(rows, counts).to_tensor(fill.get(name, 0))
        for name, rows in packer.pack(chunks, pad_to_longest=True).items()
    }


def cut(tokens: Any, size: int, *, max_chunks: int, overlap: int = 0) -> Any:
    """Splits every row into chunks; an empty row gives one empty chunk.

    Args:
        tokens: ragged, (batch, tokens).
        size: integer, the maximum number of tokens per chunk.
        max_chunks: integer, the maximum number of chunks per row; further tokens are dropped.
        overlap: integer below `size`, the number of tokens that a chunk shares with the previous
            one.

    Returns:
        The chunks of all rows in order, ragged, (chunks, tokens), and the number of chunks of each
        row, (batch,).
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
