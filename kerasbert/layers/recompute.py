"""Activations that are computed again in the backward pass instead of kept."""

from collections.abc import Callable

import keras

from kerasbert import _compat
from kerasbert.layers.dropout import same_masks


def recomputed(function: Callable, layer: keras.layers.Layer) -> Callable:
    """The same function; of its inside nothing is kept for the gradient (Chen et al. 2016).

    Dropout draws the same masks both times.

    Args:
        function: of tensors to a tensor or several.
        layer: whose variables it uses.
    """
    if keras.backend.backend() == "jax":
        return _recomputed_on_jax(function, layer)
    import tensorflow as tf

    return tf.recompute_grad(same_masks(function))


def _recomputed_on_jax(function: Callable, layer: keras.layers.Layer) -> Callable:
    """The function; JAX computes it again, so it may change nothing but what it returns."""
    import jax

    def call(*args):
        scope = _compat.stateless_scope()
        if scope is None:  # a step is a function of its variables; nobody takes gradients else
            return function(*args)
        state = [(v, scope.get_current_value(v)) for v in layer.variables]
        variables = [v for v, value in state if value is not None]
        # The states of dropout's random numbers.
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
