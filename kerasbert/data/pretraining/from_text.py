"""Pretraining examples of strings, masked and paired by TensorFlow ops."""

from __future__ import annotations

from typing import Any

from kerasbert.data.pretraining.masking import Masking
from kerasbert.features import MLM_LOGITS, NSP_LOGITS
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.packing import TextPacker


def masked_text(
    packer: TextPacker, masking: Masking, seed: tuple[Any, ...], text: Any, text_pair: Any = None
) -> Any:
    """Tokenizes and masks a batch of strings, as TensorFlow ops.

    Args:
        packer: `TextPacker`.
        masking: `Masking`.
        seed: two integers, which determine all random numbers.
        text: string tensor, (batch,).
        text_pair: string tensor, (batch,), or None.

    Returns:
        The result of `Masking`: features, original ids and weights.
    """
    features = packer(text, text_pair, pad_to_longest=False)
    return masking(features, tf.stack([tf.cast(s, tf.int64) for s in seed]))


def examples_from_text(
    packer: TextPacker,
    masking: Masking,
    seed: tuple[Any, ...],
    text: Any,
    text_pair: Any = None,
    nsp_labels: Any = None,
    objective: str = "nsp",
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Makes pretraining examples of a batch of strings, as TensorFlow ops.

    A text without a pair is split in the middle. Unless labels are given, the second parts of about
    half of the rows are exchanged with those of other rows ("nsp"), or the two parts of these rows
    are swapped ("sop").

    Args:
        packer: `TextPacker`.
        masking: `Masking`.
        seed: two integers, which determine all random numbers.
        text: string tensor, (batch,).
        text_pair: string tensor, (batch,), or None.
        nsp_labels: integers, (batch,), 1 where `text_pair` does not follow `text`, or None.
        objective: "nsp" or "sop".

    Returns:
        Features, labels and sample weights by output: three dicts.
    """
    masking_seed, pairing_seed = tf.unstack(
        tf.random.experimental.stateless_split(tf.stack([tf.cast(s, tf.int64) for s in seed]), 2)
    )
    first = packer.tokenizer.tokenize(text)
    if text_pair is None:
        first, second = _halves(first)
    else:
        second = packer.tokenizer.tokenize(text_pair)
    if nsp_labels is None:
        swapped = tf.random.stateless_uniform([first.nrows(tf.int32)], pairing_seed) < 0.5
        swap = _trade_places if objective == "sop" else _trade_seconds
        first, second, nsp_labels = swap(first, second, swapped)
    features = packer.pack(first, second)
    masked, mask_ids, mask_weights = masking(features, masking_seed)
    return _example(masked, mask_ids, mask_weights, nsp_labels)


def _trade_seconds(first: tf.RaggedTensor, second: tf.RaggedTensor, swapped: tf.Tensor):
    # Rotating the second parts ensures that none of these rows keeps its own.
    trading = tf.where(swapped)[:, 0]
    ring = tf.tensor_scatter_nd_update(
        tf.range(tf.size(swapped)),
        trading[:, tf.newaxis],
        tf.cast(tf.roll(trading, 1, 0), tf.int32),
    )
    labels = tf.cast(ring != tf.range(tf.size(swapped)), tf.int32)
    return first, tf.gather(second, ring), labels


def _trade_places(first: tf.RaggedTensor, second: tf.RaggedTensor, swapped: tf.Tensor):
    both = tf.concat([first, second], axis=0)
    rows = tf.range(tf.size(swapped))
    other = rows + tf.size(swapped)
    first, second = (
        tf.gather(both, tf.where(swapped, *choice)) for choice in ((other, rows), (rows, other))
    )
    return first, second, tf.cast(swapped, tf.int32)


def _halves(ids: tf.RaggedTensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
    lengths = ids.row_lengths()
    middle = (lengths + 1) // 2
    parts = tf.reshape(tf.stack([middle, lengths - middle], axis=1), [-1])
    halves = tf.RaggedTensor.from_row_lengths(ids.flat_values, parts)
    return halves[::2], halves[1::2]


def _example(features, mask_ids, mask_weights, nsp_labels) -> tuple[dict, dict, dict]:
    ones = tf.ones_like(nsp_labels, tf.float32)
    return (
        features,
        {MLM_LOGITS: mask_ids, NSP_LOGITS: nsp_labels},
        {MLM_LOGITS: mask_weights, NSP_LOGITS: ones},
    )
