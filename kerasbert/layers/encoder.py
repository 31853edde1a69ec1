"""The computation of an encoder, from features to outputs."""

from typing import Any

from keras import ops

from kerasbert.errors import InputError
from kerasbert.features import (
    ATTENTION_WEIGHTS,
    HIDDEN_STATES,
    PADDING_MASK,
    POOLED_OUTPUT,
    SEGMENT_IDS,
    SEQUENCE_OUTPUT,
    TOKEN_IDS,
)
from kerasbert.layers.tokens import gather_positions, positions_in_documents, within_documents


def encode(
    config: Any,
    embeddings: Any,
    blocks: Any,
    pooler: Any,
    features: Any,
    output_positions: Any = None,
    unpadded: Any = None,
    document_ids: Any = None,
    training: bool | None = None,
) -> dict[str, Any]:
    """Computes the outputs of a `Backbone`; with `unpadded`, its blocks skip padding.

    Args:
        config: a `BackboneConfig`.
        embeddings: an `Embeddings` layer.
        blocks: list of `TransformerBlock`s.
        pooler: a `Pooler`, or None.
        features: dict of features, int32 (batch, sequence).
        output_positions: as in `Backbone`.
        unpadded: the `UnpaddedTokens` of the features, or None.
        document_ids: as in `Backbone`.
        training: whether there is dropout.

    Returns:
        Dict of outputs, as in `Backbone`.

    Raises:
        InputError: the positions do not suit rows of several documents.
    """
    mask = features[PADDING_MASK]
    ids, segments = features[TOKEN_IDS], features[SEGMENT_IDS]
    if document_ids is None:
        x = embeddings(ids, segments, mask, training=training)
    else:
        if config.positions == "sinusoidal":
            raise InputError("rows of several documents need learned positions, not sinusoidal")
        position_ids = positions_in_documents(document_ids)
        x = embeddings(ids, segments, mask, training=training, position_ids=position_ids)
        mask = ops.cast(mask, "int32")[:, None] * within_documents(document_ids)
    if unpadded is not None:
        x, mask = unpadded.unpad(x), unpadded.mask
    options = {"training": training}
    if unpadded is not None:
        options["unpadded"] = unpadded
    states, attention_weights = [x], []
    for number, index in enumerate(config.layer_order, start=1):
        if config.return_hidden_states:
            x, weights = blocks[index](x, mask, **options, return_weights=True)
            attention_weights.append(weights)
        elif output_positions is not None and number == len(config.layer_order):
            x = blocks[index](x, mask, output_positions, **options)
        else:
            x = blocks[index](x, mask, **options)
        states.append(x)
    if output_positions is None and unpadded is not None:
        x = unpadded.pad(x)
    if output_positions is not None and config.return_hidden_states:
        x = gather_positions(x, output_positions)
    outputs = {SEQUENCE_OUTPUT: x}
    if pooler:
        outputs[POOLED_OUTPUT] = pooler(x)
    if config.return_hidden_states:
        outputs[HIDDEN_STATES] = states
        outputs[ATTENTION_WEIGHTS] = attention_weights
    return outputs
