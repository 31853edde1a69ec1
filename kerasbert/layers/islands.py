"""Element-wise parts of a layer that are compiled into one pass each, forward and backward.

TensorFlow on a CPU runs an element-wise function operation by operation, each through the memory,
and keeps what lies between for the gradient. XLA makes one loop of it; its matrix products are
slower than oneDNN's, so those stay outside, and only islands between them are compiled.
"""

from collections.abc import Callable

import keras

# Below so many elements a pass through the memory costs less than compiling.
_WORTH_COMPILING = 2**16


class Island:
    """A function of tensors to a tensor that XLA compiles, and the function of its gradient.

    The gradient computes the function's inside again instead of keeping it. Where XLA would have to
    compile anew for every batch (shapes that are not known when the graph is built), or where there
    is no TensorFlow, or several replicas, the function runs as it is written.

    Args:
        function: written with `keras.ops`; its result has one dtype and shape for given inputs.
    """

    def __init__(self, function: Callable):
        self.function = function
        self._compiled = None

    def __call__(self, *inputs):
        """What the function gives."""
        return self.compiled(*inputs) if _can_compile(inputs) else self.function(*inputs)

    @property
    def compiled(self) -> Callable:
        """The function, compiled whatever its inputs are like."""
        if self._compiled is None:
            self._compiled = _compiled(self.function)
        return self._compiled


def _can_compile(inputs) -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return (
        all(x.shape.is_fully_defined() for x in inputs)
        and max(x.shape.num_elements() for x in inputs) >= _WORTH_COMPILING
        and tf.distribute.get_strategy().num_replicas_in_sync == 1
    )


def _compiled(function: Callable) -> Callable:
    import tensorflow as tf

    # What lies inside never reaches the memory, so float32 costs nothing there.
    def in_float32(*inputs):
        wide = [tf.cast(x, tf.float32) if x.dtype.is_floating else x for x in inputs]
        return tf.cast(function(*wide), inputs[0].dtype)

    forward = tf.function(in_float32, jit_compile=True, autograph=False)

    @tf.function(jit_compile=True, autograph=False)
    def backward(upstream, *inputs):
        with tf.GradientTape() as tape:
            tape.watch([x for x in inputs if x.dtype.is_floating])
            output = in_float32(*inputs)
        return tape.gradient(output, inputs, upstream)

    @tf.custom_gradient
    def call(*inputs):
        return forward(*inputs), lambda upstream: backward(upstream, *inputs)

    # What a caller gives may be variables, for which `custom_gradient` has other rules.
    return lambda *inputs: call(*map(tf.convert_to_tensor, inputs))
