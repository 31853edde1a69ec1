"""Token ids to features, in core ops that every server links.

BERT packs a pair as `[CLS] a [SEP] b [SEP]` and tells the two texts apart by segment; RoBERTa (and
XLM-R) as `<s> a </s></s> b </s>`, all in segment 0.
"""

import tensorflow as tf

from kerasbert import features as keys
from kerasbert.text.tokenizer import Tokenizer

#: By the name of the packing: separators between two texts, and whether the second has segment 1.
PACKINGS = {"bert": (1, True), "roberta": (2, False)}


def truncate_pair(a: tf.RaggedTensor, b: tf.RaggedTensor, budget: int):
    """Shortens two texts together to at most `budget` tokens, the longer one first.

    The result of `_truncate_seq_pair` in google-research/bert (`run_classifier.py`), which drops
    one token at a time from the end of the longer text, from `b` when they are equal, in closed
    form.

    Args:
        a: ragged ids, (batch, tokens).
        b: ragged ids, (batch, tokens).
        budget: tokens that both may have together.

    Returns:
        `a` and `b`, shortened.
    """
    length_a, length_b = a.row_lengths(), b.row_lengths()
    limit = tf.constant(budget, length_a.dtype)
    keep_a = tf.minimum(length_a, tf.maximum(limit - length_b, (limit + 1) // 2))
    keep_b = tf.minimum(length_b, tf.maximum(limit - length_a, limit // 2))
    return first_tokens(a, keep_a), first_tokens(b, keep_b)


def first_tokens(rows: tf.RaggedTensor, lengths: tf.Tensor) -> tf.RaggedTensor:
    """The first `lengths[i]` values of each row of a ragged tensor."""
    position = tf.range(tf.size(rows.flat_values, rows.row_splits.dtype)) - tf.gather(
        rows.row_starts(), rows.value_rowids()
    )
    keep = position < tf.gather(lengths, rows.value_rowids())
    return tf.RaggedTensor.from_row_lengths(tf.boolean_mask(rows.flat_values, keep), lengths)


def pack(
    a: tf.RaggedTensor,
    b: tf.RaggedTensor | None,
    *,
    cls_id: int,
    sep_id: int,
    pad_id: int,
    sequence_length: int,
    pad_to_longest: bool = False,
    packing: str = "bert",
) -> dict[str, tf.Tensor]:
    """Builds the features of one text or a pair, truncated to `sequence_length`.

    Args:
        a: ragged ids of the first texts, (batch, tokens).
        b: ragged ids of the second texts, or None.
        cls_id: the id of [CLS].
        sep_id: the id of [SEP].
        pad_id: the id of [PAD].
        sequence_length: tokens a row may have, [CLS] and [SEP] included.
        pad_to_longest: pad to the longest row of the batch instead of to `sequence_length`.
        packing: "bert" or "roberta"; how a pair is separated and told apart.

    Returns:
        `token_ids`, `padding_mask` and `segment_ids`, int32, (batch, sequence).
    """
    rows = a.nrows()
    separators, has_segments = PACKINGS[packing]
    special = 2 if b is None else 2 + separators
    if sequence_length <= special:
        raise ValueError(f"sequence_length must be over {special}, found {sequence_length}")

    def column(id):
        return tf.fill(tf.stack([rows, 1]), tf.constant(id, a.dtype))

    if b is None:
        a = first_tokens(a, tf.minimum(a.row_lengths(), sequence_length - special))
        first = tokens = tf.concat([column(cls_id), a, column(sep_id)], axis=1)
    else:
        a, b = truncate_pair(a, b, sequence_length - special)
        first = tf.concat([column(cls_id), a, *[column(sep_id)] * separators], axis=1)
        tokens = tf.concat([first, b, column(sep_id)], axis=1)

    width = tf.constant(sequence_length, tf.int64)
    if pad_to_longest:  # of no rows: as wide as an empty text
        width = tf.reduce_max(tf.concat([tokens.row_lengths(), [special]], axis=0))
    token_ids = tokens.to_tensor(default_value=pad_id, shape=tf.stack([-1, width]))
    place = tf.range(tf.shape(token_ids, tokens.row_splits.dtype)[1])[tf.newaxis]
    real = place < tokens.row_lengths()[:, tf.newaxis]
    second = has_segments & real & (place >= first.row_lengths()[:, tf.newaxis])
    return {
        keys.TOKEN_IDS: token_ids,
        keys.PADDING_MASK: tf.cast(real, tf.int32),
        keys.SEGMENT_IDS: tf.cast(second, tf.int32),
    }


class TextPacker:
    """Raw strings to features: tokenizes, truncates and packs one text or a pair.

    Args:
        tokenizer: the tokenizer.
        sequence_length: tokens a row may have at the most, special tokens included.
    """

    def __init__(self, tokenizer: Tokenizer, sequence_length: int):
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length

    @property
    def text_room(self) -> int:
        """Tokens of one text that fit into a row beside the special tokens."""
        return self.sequence_length - 2

    @property
    def pair_room(self) -> int:
        """Tokens of two texts that fit into a row beside the special tokens."""
        separators, _ = PACKINGS[self.tokenizer.packing]
        return self.sequence_length - 2 - separators

    @property
    def tokens_before_second(self) -> int:
        """Special tokens that stand before the second of two texts."""
        return 1 + PACKINGS[self.tokenizer.packing][0]

    def __call__(self, text, text_pair=None, *, pad_to_longest: bool = True, tokenize=None):
        """Packs strings.

        Args:
            text: string tensor, (batch,).
            text_pair: string tensor, (batch,), or None.
            pad_to_longest: see `pack`.
            tokenize: another way from strings to ragged ids than `tokenizer.tokenize`.

        Returns:
            `token_ids`, `padding_mask` and `segment_ids`, int32, (batch, sequence).
        """
        tokenize = tokenize or self.tokenizer.tokenize
        ids_pair = None if text_pair is None else tokenize(text_pair)
        return self.pack(tokenize(text), ids_pair, pad_to_longest=pad_to_longest)

    def pack(self, a, b=None, *, pad_to_longest: bool = False) -> dict[str, tf.Tensor]:
        """Packs ragged ids, with this tokenizer's special tokens (see `pack`)."""
        return pack(
            a,
            b,
            cls_id=self.tokenizer.cls_id,
            sep_id=self.tokenizer.sep_id,
            pad_id=self.tokenizer.pad_id,
            sequence_length=self.sequence_length,
            pad_to_longest=pad_to_longest,
            packing=self.tokenizer.packing,
        )
