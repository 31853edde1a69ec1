"""Adapters that rewrite weights for a format without changing the model's function."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasbert.families import Layout

_TOKENS = "embeddings/token_embedding/embeddings"
_POSITIONS = "embeddings/position_embedding/embeddings"
_SEGMENTS = "embeddings/segment_embedding/embeddings"


def adapt(
    config: dict[str, Any], weights: Mapping[str, np.ndarray], layout: Layout
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Rewrites position embeddings, segment embeddings and layer groups for a layout.

    RoBERTa has one segment, and rows before the first position; KerasHub has neither. A single
    segment is a constant, which is added to the positions. The rows before the first position
    belong to padding. If a layout has groups of layers, a model without groups gets one group per
    layer.

    Args:
        config: dict, see `Preset`.
        weights: dict of arrays by variable path.
        layout: `Layout` of the format.

    Returns:
        `config` and `weights`, changed or not.
    """
    encoder_config, weights = dict(config["backbone"]), dict(weights)
    if "num_groups" in _settings(layout) and encoder_config["num_groups"] is None:
        encoder_config["num_groups"] = encoder_config["num_layers"]
    if encoder_config["positions"] != "sinusoidal":
        _adapt_segments(encoder_config, weights, layout)
        _adapt_positions(encoder_config, weights, layout)
    return {**config, "backbone": encoder_config}, weights


def _settings(layout: Layout) -> list[str]:
    return [row[0] for row in layout.settings]


def _positions_of(layout: Layout) -> str:
    return str(layout.constants.get("positions", "learned"))


def _adapt_segments(encoder_config: dict, weights: dict, layout: Layout) -> None:
    if layout.constants.get("num_segments") == 0 and encoder_config["num_segments"] == 1:
        weights[_POSITIONS] = weights[_POSITIONS] + weights.pop(_SEGMENTS)
        encoder_config["num_segments"] = 0
    elif "num_segments" in _settings(layout) and encoder_config["num_segments"] == 0:
        # RoBERTa's tokenizers put both texts of a pair in one segment, other tokenizers in two.
        encoder_config["num_segments"] = 1 if _positions_of(layout) == "learned_offset" else 2
        width = weights[_TOKENS].shape[1]
        weights[_SEGMENTS] = np.zeros((encoder_config["num_segments"], width), np.float32)


def _adapt_positions(encoder_config: dict, weights: dict, layout: Layout) -> None:
    before = encoder_config["padding_id"] + 1
    wanted = _positions_of(layout)
    if (encoder_config["positions"], wanted) == ("learned_offset", "learned"):
        weights[_POSITIONS] = weights[_POSITIONS][before:]
        encoder_config["positions"] = wanted
    elif (encoder_config["positions"], wanted) == ("learned", "learned_offset"):
        weights[_POSITIONS] = np.pad(weights[_POSITIONS], ((before, 0), (0, 0)))
        encoder_config["positions"] = wanted
