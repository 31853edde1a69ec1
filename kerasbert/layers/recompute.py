"""Activations that are computed again in the backward pass instead of kept."""

import keras

from kerasbert.errors import InputError
from kerasbert.layers.dropout import same_masks


def recomputed(function):
    """The same function; of its inside nothing is kept for the gradient (Chen et al. 2016).

    Dropout draws the same masks both times.

    Args:
        function: of tensors to a tensor or several.

    Raises:
        InputError: the Keras backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError("gradient checkpointing needs the TensorFlow backend")
    import tensorflow as tf

    return tf.recompute_grad(same_masks(function))
