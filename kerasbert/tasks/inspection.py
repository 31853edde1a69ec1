"""Signatures of an export that show what the model reads: its tokens, and where it attends to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from kerasbert.features import ATTENTION_WEIGHTS, PADDING_MASK, SEGMENT_IDS, TOKEN_IDS
from kerasbert.layers.encoder import encode
from kerasbert.lazy import tensorflow as tf
from kerasbert.serving.saved_model import string_specs

_LAYER, _SEQUENCE = "layer", "sequence"


class Signature(NamedTuple):
    """A signature of an export: the specs of its tensors by name, and the function of them."""

    specs: dict[str, Any]
    function: Callable[..., dict[str, Any]]


def tokenize(task: Any) -> Signature:
    """Maps the inputs of a task to the tokens that the model reads.

    `tokens`, string, `token_ids` and `segment_ids` are (batch, sequences, tokens), and `lengths`
    (batch, sequences) says how many are not padding; what follows them has no meaning, and depends
    on the other rows. A row has one sequence, or one for each chunk, window or choice.
    """
    vocabulary = task.tokenizer.vocabulary

    def tokens(**columns):
        features = task.preprocessor.sequences(**columns)
        ids, mask = features[TOKEN_IDS], features[PADDING_MASK]
        return {
            "tokens": tf.where(mask > 0, tf.gather(tf.constant(vocabulary), ids), ""),
            TOKEN_IDS: ids,
            SEGMENT_IDS: features[SEGMENT_IDS],
            "lengths": tf.reduce_sum(mask, axis=-1),
        }

    return Signature(_strings(task), tokens)


def attention(task: Any) -> Signature:
    """Maps the inputs of a task to the attention of one layer.

    Further inputs are `layer` and `sequence`, int32 (batch,): which layer, and which of the
    sequences of `tokenize`, from 0. `attention_weights`, float32 (batch, heads, tokens, tokens), is
    how much each token, a row, attends to each other; rows of padding have no meaning.
    """
    backbone = task.backbone
    config = dataclasses.replace(backbone.config, return_hidden_states=True)
    count = len(config.layer_order)

    def weights(layer, sequence, **columns):
        sequences = task.preprocessor.sequences(**columns)
        checks = [
            tf.debugging.Assert(
                tf.reduce_all((layer >= 0) & (layer < count)),
                [f"layer must be in [0, {count - 1}]"],
            ),
            # On a GPU, `tf.gather` returns zeros for what is out of range.
            tf.debugging.Assert(
                tf.reduce_all(_exists(sequences[PADDING_MASK], sequence)),
                ["sequence must be one that tokenize returns with tokens, from 0"],
            ),
        ]
        with tf.control_dependencies(checks):
            layer = tf.identity(layer)[:, tf.newaxis, tf.newaxis, tf.newaxis]
            sequence = tf.identity(sequence)
        features = {
            name: tf.gather(value, sequence, batch_dims=1) for name, value in sequences.items()
        }
        outputs = encode(config, backbone.embeddings, backbone.blocks, None, features)
        first, *others = outputs[ATTENTION_WEIGHTS]
        chosen = tf.where(layer == 0, first, 0)
        for number, one in enumerate(others, start=1):
            chosen = tf.where(layer == number, one, chosen)
        return {ATTENTION_WEIGHTS: tf.cast(chosen, tf.float32)}

    numbers = {name: tf.TensorSpec([None], tf.int32, name=name) for name in (_LAYER, _SEQUENCE)}
    return Signature({**_strings(task), **numbers}, weights)


def _exists(mask: Any, sequence: Any) -> Any:
    """Returns whether each row has the sequence of this number; others of the batch may."""
    has_tokens = tf.reduce_any(mask > 0, axis=-1)
    numbers = tf.range(tf.shape(mask)[1])
    return tf.reduce_any(has_tokens & (numbers == sequence[:, tf.newaxis]), axis=1)


def described(task: Any) -> dict[str, int]:
    """Returns the numbers of layers and heads, for an export's metadata."""
    config = task.backbone.config
    return {"layers": len(config.layer_order), "heads": config.num_heads}


def example(task: Any, texts: Any) -> dict[str, Any]:
    """Returns inputs for `attention`, to check it with: the last layer of each text."""
    columns, rows = {}, len(texts)
    for name, spec in _strings(task).items():
        lists = spec.shape.rank == 2
        columns[name] = tf.constant([[texts[0], text] for text in texts] if lists else texts)
    last = len(task.backbone.config.layer_order) - 1
    return {**columns, _LAYER: tf.fill([rows], last), _SEQUENCE: tf.zeros([rows], tf.int32)}


def _strings(task) -> dict:
    names, _ = task.serving_signature()
    return string_specs(names)
