"""Gradient checkpointing: recomputing activations in the backward pass."""

from collections.abc import Callable
from typing import Any

import keras

from kerasbert import _compat
from kerasbert.layers.dropout import same_masks


def recomputed(function: Callable[..., Any], layer: keras.layers.Layer) -> Callable[..., Any]:
    """Returns the function with gradient checkpointing (Chen et al. 2016).

    Dropout masks are the same when it is recomputed.

    Args:
        function: maps tensors to a tensor or several.
        layer: layer whose variables the function uses.
    """
    if keras.backend.backend() == "jax":
        return _recomputed_on_jax(function, layer)
    import tensorflow as tf

    return tf.recompute_grad(same_masks(function))


def _recomputed_on_jax(function: Callable, layer: keras.layers.Layer) -> Callable:
    """Checkpoints a function on JAX, where it must be pure: state is passed in and returned."""
    import jax

    def call(*args):
        scope = _compat.stateless_scope()
        if scope is None:  # no training step, so no gradient
            return function(*args)
        state = [(v, scope.get_current_value(v)) for v in layer.variables]
        variables = [v for v, value in state if value is not None]
        # Dropout's seed states.
        changing = [v for v in variables if not v.trainable]

        @jax.checkpoint
        def pure(values, *args):
            with keras.StatelessScope(list(zip(variables, values, strict=True))) as inner:
                outputs = function(*args)
            return outputs, [inner.get_current_value(v) for v in changing]

        outputs, changed = pure([value for _, value in state if value is not None], *args)
        for variable, value in zip(changing, changed, strict=True):
            variable.assign(value)
        return outputs

    return call
