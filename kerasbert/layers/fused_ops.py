"""Element-wise operations that XLA compiles to one pass each, forward and backward.

On a CPU, TensorFlow runs element-wise functions operation by operation, each with a pass through
memory, and keeps intermediate results for the gradient. XLA compiles them to one loop. Its matrix
products are slower than oneDNN's, so these stay outside, and only what is between them is compiled.
"""

import functools
from collections.abc import Callable
from typing import Any

from kerasbert.layers import backends


class FusedOp:
    """A function from tensors to a tensor that XLA compiles, with its gradient.

    The gradient recomputes intermediate results, or derives them from the output, instead of
    keeping them. The function is not compiled without TensorFlow, or if shapes are unknown when the
    graph is built, because XLA would then compile for every batch.

    Args:
        function: function of `keras.ops`, whose output dtype and shape depend only on its inputs'.
        gradient: maps (gradient of the output, output, *inputs), in float32, to the gradient of
            the first input, the only differentiable one. None: derived from the function.
        plain: equivalent function to call where nothing is compiled; None: `function`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        gradient: Callable[..., Any] | None = None,
        *,
        plain: Callable[..., Any] | None = None,
    ):
        self.function = function
        self.plain = plain or function
        self.gradient = gradient
        self._compiled = None

    def __call__(self, *inputs: Any) -> Any:
        """Computes the function, compiled if that is faster."""
        return self.compiled(*inputs) if backends.compiles(*inputs) else self.plain(*inputs)

    @property
    def compiled(self) -> Callable[..., Any]:
        """The compiled function, for any inputs."""
        if self._compiled is None:
            self._compiled = _compiled(self.function, self.gradient)
        return self._compiled


def _compiled(function: Callable, gradient: Callable | None) -> Callable:
    import tensorflow as tf

    # Values inside never reach memory, so computing in float32 is free.
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
        assert gradient is not None
        first, *rest = tensors[2:]
        return [tf.cast(gradient(*wide(tensors)), first.dtype), *(None for _ in rest)]

    compiled = functools.partial(tf.function, jit_compile=True, autograph=False)
    run = compiled(forward)
    backward = compiled(given if gradient else again)

    @tf.custom_gradient
    def call(*inputs):
        output = run(*inputs)
        return output, lambda upstream: backward(upstream, output, *inputs)

    # Inputs may be variables, which `custom_gradient` treats differently.
    return lambda *inputs: call(*map(tf.convert_to_tensor, inputs))
