"""Weights of examples and positions in the losses of distillation."""

from typing import Any

from keras import ops


def of_examples(sample_weight: Any) -> Any:
    """Returns weights (batch,) of examples, or None: weights of tokens don't apply to layers."""
    whole = not isinstance(sample_weight, dict | None) and len(sample_weight.shape) == 1
    return sample_weight if whole else None


def weights_of(given: Any, shape: tuple[Any, ...], mask: Any) -> Any:
    """Broadcasts weights to the shape of a loss, with 0 at padding.

    Args:
        given: weights of this shape or of its first dimensions; None: ones.
        shape: shape of the losses.
        mask: 1 for unpadded positions; ignored unless it has as many dimensions as `shape`.
    """
    weights = ops.ones(shape) if given is None else ops.cast(given, "float32")
    weights = ops.reshape(weights, (*ops.shape(weights), *[1] * (len(shape) - len(weights.shape))))
    if mask is not None and len(mask.shape) == len(shape):
        weights = weights * ops.cast(mask, "float32")
    return ops.broadcast_to(weights, shape)
