"""Element-wise parts of a layer that are compiled into one pass each, forward and backward.

TensorFlow on a CPU runs an element-wise function operation by operation, each through the memory,
and keeps what lies between for the gradient. XLA makes one loop of it; its matrix products are
slower than oneDNN's, so those stay outside, and only what lies between them is compiled.
"""

import functools
from collections.abc import Callable

from kerasbert.layers import backends


class FusedOp:
    """A function of tensors to a tensor that XLA compiles, and the function of its gradient.

    The gradient computes the function's inside again instead of keeping it, or what it needs of
    that from the output. Where XLA would have to compile anew for every batch (shapes that are not
    known when the graph is built), or where there is no TensorFlow, or several replicas, it is not
    compiled.

    Args:
        function: written with `keras.ops`; its result has one dtype and shape for given inputs.
        gradient: of (the output's gradient, the output, *inputs) to the gradient of the first
            input, the only one that has one; in float32. None: derived from the function.
        plain: gives the same and runs where nothing is compiled; None: the function.
    """

    def __init__(
        self,
        function: Callable,
        gradient: Callable | None = None,
        *,
        plain: Callable | None = None,
    ):
        self.function = function
        self.plain = plain or function
        self.gradient = gradient
        self._compiled = None

    def __call__(self, *inputs):
        """What the function gives."""
        return self.compiled(*inputs) if backends.compiles(*inputs) else self.plain(*inputs)

    @property
    def compiled(self) -> Callable:
        """The function, compiled whatever its inputs are like."""
        if self._compiled is None:
            self._compiled = _compiled(self.function, self.gradient)
        return self._compiled


def _compiled(function: Callable, gradient: Callable | None) -> Callable:
    import tensorflow as tf

    # What lies inside never reaches the memory, so float32 costs nothing there.
    def wide(tensors):
        return [tf.cast(x, tf.float32) if x.dtype.is_floating else x for x in tensors]

    def forward(*inputs):
        return tf.cast(function(*wide(inputs)), inputs[0].dtype)

    def again(upstream, output, *inputs):
        with tf.GradientTape() as tape:
            tape.watch([x for x in inputs if x.dtype.is_floating])
            output = forward(*inputs)
        return tape.gradient(output, inputs, upstream)

    def given(*tensors):
        first, *rest = tensors[2:]
        return [tf.cast(gradient(*wide(tensors)), first.dtype), *(None for _ in rest)]

    compiled = functools.partial(tf.function, jit_compile=True, autograph=False)
    run = compiled(forward)
    backward = compiled(given if gradient else again)

    @tf.custom_gradient
    def call(*inputs):
        output = run(*inputs)
        return output, lambda upstream: backward(upstream, output, *inputs)

    # What a caller gives may be variables, for which `custom_gradient` has other rules.
    return lambda *inputs: call(*map(tf.convert_to_tensor, inputs))
