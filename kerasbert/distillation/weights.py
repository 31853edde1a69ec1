"""What each of a batch's losses counts."""

from keras import ops


def of_examples(sample_weight):
    """Weights (batch,) of whole examples, or None: those of single tokens say nothing of layers."""
    whole = not isinstance(sample_weight, dict | None) and len(sample_weight.shape) == 1
    return sample_weight if whole else None


def weights_of(given, shape: tuple, mask):
    """Weights of a shape: those that are given, and 0 where there is padding.

    Args:
        given: of the same shape, or of its first dimensions; None: ones.
        shape: of the losses.
        mask: 1 on what is real, of the same shape; otherwise it is about something else.
    """
    weights = ops.ones(shape) if given is None else ops.cast(given, "float32")
    weights = ops.reshape(weights, (*ops.shape(weights), *[1] * (len(shape) - len(weights.shape))))
    if mask is not None and len(mask.shape) == len(shape):
        weights = weights * ops.cast(mask, "float32")
    return ops.broadcast_to(weights, shape)
