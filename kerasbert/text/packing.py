"""Packing of token ids into features, with core TensorFlow ops, which every server has.

BERT packs a pair as `[CLS] a [SEP] b [SEP]` and gives the second text segment 1. RoBERTa and XLM-R
pack it as `<s> a </s></s> b </s>`, all in segment 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasbert.features import PADDING_MASK, SEGMENT_IDS, TOKEN_IDS
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.tokenizer import Tokenizer

#: For each packing: the number of separators between two texts, and whether the second text has
#: segment 1.
PACKINGS = {"bert": (1, True), "roberta": (2, False)}


def few_lengths(longest: int) -> tuple[int, ...]:
    """Returns the lengths that rows are padded to where XLA compiles every shape of a batch.

    They are the powers of two from 32 on, and `longest`.

    Args:
        longest: integer, the maximum number of tokens per row.
    """
    return (*(2**n for n in range(5, 32) if 2**n < longest), longest)


def truncate_pair(length_a: tf.Tensor, length_b: tf.Tensor, budget: int) -> Any:
    """Computes how many tokens of two texts are kept for a common budget.

    The result is that of `_truncate_seq_pair` in google-research/bert (`run_classifier.py`), in
    closed form: tokens are dropped one at a time from the end of the longer text, or of the second
    text if both are equally long.

    Args:
        length_a: int64, (batch,), the number of tokens of the first texts.
        length_b: int64, (batch,), the number of tokens of the second texts.
        budget: integer, the maximum number of tokens of both texts together.

    Returns:
        The number of tokens to keep of each text, int64, (batch,) and (batch,).

    Examples:
        >>> import tensorflow as tf
        >>> import kerasbert
        >>> lengths = tf.constant([10, 2], tf.int64), tf.constant([4, 2], tf.int64)
        >>> keep_a, keep_b = kerasbert.text.truncate_pair(*lengths, budget=8)
        >>> keep_a.numpy().tolist(), keep_b.numpy().tolist()
        ([4, 2], [4, 2])
    """
    keep_a = tf.minimum(length_a, tf.maximum(budget - length_b, (budget + 1) // 2))
    keep_b = tf.minimum(length_b, tf.maximum(budget - length_a, budget // 2))
    return keep_a, keep_b


def pack(
    a: tf.RaggedTensor,
    b: tf.RaggedTensor | None,
    *,
    cls_id: int,
    sep_id: int,
    pad_id: int,
    sequence_length: int,
    pad_to_longest: bool = False,
    row_lengths: Sequence[int] = (),
    packing: str = "bert",
) -> dict[str, tf.Tensor]:
    """Builds the features of single texts or pairs, truncated to `sequence_length`.

    Args:
        a: ragged ids of the first texts, (batch, tokens).
        b: ragged ids of the second texts, (batch, tokens), or None.
        cls_id: integer, the id of [CLS].
        sep_id: integer, the id of [SEP].
        pad_id: integer, the id of [PAD].
        sequence_length: integer, the maximum number of tokens per row, special tokens included.
        pad_to_longest: bool, pad to the longest row of the batch instead of `sequence_length`.
        row_lengths: increasing integers up to `sequence_length`, to the next of which
            `pad_to_longest` rounds up, or empty.
        packing: "bert" or "roberta", the separators and segments of a pair.

    Returns:
        Dict of `token_ids`, `padding_mask` and `segment_ids`, int32, (batch, sequence).

    Raises:
        ValueError: `sequence_length` has no room for a token of a text.

    Examples:
        >>> import tensorflow as tf
        >>> import kerasbert
        >>> a, b = tf.ragged.constant([[5, 6], [7]]), tf.ragged.constant([[8], [9]])
        >>> features = kerasbert.text.pack(
        ...     a, b, cls_id=2, sep_id=3, pad_id=0, sequence_length=16, pad_to_longest=True
        ... )
        >>> features["token_ids"].numpy().tolist()
        [[2, 5, 6, 3, 8, 3], [2, 7, 3, 9, 3, 0]]
        >>> features["segment_ids"].numpy().tolist()
        [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]]
    """
    separators, has_segments = PACKINGS[packing]
    special = 2 if b is None else 2 + separators
    if sequence_length <= special:
        raise ValueError(f"sequence_length must be greater than {special}, found {sequence_length}")

    texts = [text for text in (a, b) if text is not None]
    lengths = [tf.cast(text.row_lengths(), tf.int64) for text in texts]
    room = sequence_length - special
    first = lengths[0]
    kept = [tf.minimum(first, room)] if b is None else truncate_pair(first, lengths[1], room)
    width = tf.constant(sequence_length, tf.int64)
    if pad_to_longest:  # without any rows: the width of an empty text
        width = special + tf.maximum(tf.reduce_max(tf.add_n(kept)), 0)
        if row_lengths:
            fixed = tf.constant(row_lengths, tf.int64)
            width = tf.gather(fixed, tf.searchsorted(fixed, width[tf.newaxis])[0])

    # `values` contains every token of every row; `index` selects one of them for each position.
    special_ids = tf.constant([pad_id, sep_id, cls_id], a.dtype)
    values = tf.concat([special_ids, *(text.flat_values for text in texts)], axis=0)
    position = tf.range(width)[tf.newaxis]
    index = tf.where(position == 0, tf.constant(2, tf.int64), tf.constant(1, tf.int64))
    begins, origin, end = [], 3, 1 - separators
    for text, length in zip(texts, kept, strict=True):
        begin = end + separators
        end = begin + length[:, tf.newaxis]
        source = origin + tf.cast(text.row_starts(), tf.int64)[:, tf.newaxis] + position - begin
        index = tf.where((begin <= position) & (position < end), source, index)
        origin += tf.size(text.flat_values, tf.int64)
        begins.append(begin)
    is_token = position <= end
    second = is_token & (position >= begins[-1]) & (has_segments and b is not None)
    return {
        TOKEN_IDS: tf.gather(values, tf.where(is_token, index, tf.constant(0, tf.int64))),
        PADDING_MASK: tf.cast(is_token, tf.int32),
        SEGMENT_IDS: tf.cast(second, tf.int32),
    }


def pack_ranges(
    tokens_at: Callable[..., Any],
    ranges: Sequence[tuple[Any, ...]],
    tokenizer: Tokenizer,
    sequence_length: int,
) -> dict[str, np.ndarray]:
    """Packs token ranges, or pairs of them, that fit into a row, in NumPy; see `pack`.

    Args:
        tokens_at: function from an integer array of token positions to the ids at these positions.
        ranges: pair of integer arrays, (batch,), the start and the exclusive end of the texts; for
            pairs, another one of the second texts.
        tokenizer: `Tokenizer`, for the special tokens and the packing.
        sequence_length: integer, the number of tokens per row.

    Returns:
        Dict of `token_ids`, `padding_mask` and `segment_ids`, int32, (batch, sequence).
    """
    separators, has_segments = PACKINGS[tokenizer.packing]
    index, end = np.arange(sequence_length)[np.newaxis], 1 - separators
    positions = np.full((len(ranges[0][0]), sequence_length), -1)
    for start, stop in ranges:
        begin = end + separators
        end = begin + (stop - start)[:, np.newaxis]
        inside = (begin <= index) & (index < end)
        positions = np.where(inside, start[:, np.newaxis] + index - begin, positions)
    is_token, is_text = index <= end, positions >= 0
    is_second = has_segments and len(ranges) > 1
    ids = np.where(is_token, tokenizer.sep_id, tokenizer.pad_id).astype(np.int32)
    ids[:, 0] = tokenizer.cls_id
    ids[is_text] = tokens_at(positions[is_text])
    return {
        TOKEN_IDS: ids,
        PADDING_MASK: is_token.astype(np.int32),
        SEGMENT_IDS: (is_token & (index >= begin) & is_second).astype(np.int32),
    }


class TextPacker:
    """Tokenizes, truncates and packs raw strings: single texts or pairs.

    Args:
        tokenizer: `Tokenizer`.
        sequence_length: integer, the maximum number of tokens per row, special tokens included.
        row_lengths: as in `pack`.

    Examples:
        >>> import kerasbert
        >>> words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog"]
        >>> tokenizer = kerasbert.text.WordPieceTokenizer(words)
        >>> packer = kerasbert.text.TextPacker(tokenizer, sequence_length=16)
        >>> features = packer(["The dog", "Dog"])
        >>> features["token_ids"].numpy().tolist()
        [[2, 5, 6, 3], [2, 6, 3, 0]]
        >>> features["padding_mask"].numpy().tolist()
        [[1, 1, 1, 1], [1, 1, 1, 0]]
    """

    def __init__(self, tokenizer: Tokenizer, sequence_length: int, row_lengths: Sequence[int] = ()):
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        self.row_lengths = row_lengths

    @property
    def text_room(self) -> int:
        """The maximum number of tokens of a single text, without special tokens.

        Examples:
            >>> packer.text_room
            14
        """
        return self.sequence_length - 2

    @property
    def pair_room(self) -> int:
        """The maximum number of tokens of both texts of a pair, without special tokens.

        Examples:
            >>> packer.pair_room
            13
        """
        separators, _ = PACKINGS[self.tokenizer.packing]
        return self.sequence_length - 2 - separators

    @property
    def tokens_before_second(self) -> int:
        """The number of special tokens before the second text of a pair."""
        return 1 + PACKINGS[self.tokenizer.packing][0]

    def __call__(
        self, text: Any, text_pair: Any = None, *, pad_to_longest: bool = True, tokenize: Any = None
    ) -> Any:
        """Tokenizes and packs strings.

        Args:
            text: string tensor, (batch,).
            text_pair: string tensor, (batch,), or None.
            pad_to_longest: see `pack`.
            tokenize: function from strings, (batch,), to ragged ids. Defaults to
                `tokenizer.tokenize`.

        Returns:
            Dict of `token_ids`, `padding_mask` and `segment_ids`, int32, (batch, sequence).

        Examples:
            >>> packer(["The"], ["dog"])["segment_ids"].numpy().tolist()
            [[0, 0, 0, 1, 1]]
        """
        tokenize = tokenize or self.tokenizer.tokenize
        ids_pair = None if text_pair is None else tokenize(text_pair)
        return self.pack(tokenize(text), ids_pair, pad_to_longest=pad_to_longest)

    def pack(self, a: Any, b: Any = None, *, pad_to_longest: bool = False) -> dict[str, tf.Tensor]:
        """Packs ragged ids with the special tokens of the tokenizer; see the function `pack`.

        Args:
            a: ragged ids of the first texts, (batch, tokens).
            b: ragged ids of the second texts, (batch, tokens), or None.
            pad_to_longest: bool, pad to the longest row instead of `sequence_length`.

        Returns:
            Dict of `token_ids`, `padding_mask` and `segment_ids`, int32, (batch, sequence).

        Examples:
            >>> packer.pack(tokenizer(["the dog"]))["token_ids"].shape
            TensorShape([1, 16])
        """
        return pack(
            a,
            b,
            cls_id=self.tokenizer.cls_id,
            sep_id=self.tokenizer.sep_id,
            pad_id=self.tokenizer.pad_id,
            sequence_length=self.sequence_length,
            pad_to_longest=pad_to_longest,
            row_lengths=self.row_lengths,
            packing=self.tokenizer.packing,
        )
