"""Chooses between implementations that compute the same.

| | TensorFlow | JAX |
|---|---|---|
| element-wise operations | each compiled if that is faster (`FusedOp`) | compiled with the step |
| random bytes of dropout | Philox, by XLA where ops are fused | XLA's own generator |
| attention without dropout | matrix products and a softmax | one operation; on GPUs cuDNN's |
| query, key and value | one product if weights are frozen, else three | three products |
| padding | skipped in graphs for inference | computed |

All choices are made here, except the last, which `inference` makes. Tests compare the
implementations (`tests/layers/`), and docs/performance.md has their gains.
"""

import keras

from kerasbert.layers.state import is_quantized

# With fewer elements, a pass through memory is cheaper than calling a compiled function.
_WORTH_COMPILING = 2**16


def compiles(*inputs) -> bool:
    """Whether XLA can compile operations on such tensors, and whether that is faster."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return (
        all(x.shape.is_fully_defined() for x in inputs)
        and max(x.shape.num_elements() for x in inputs) >= _WORTH_COMPILING
        and tf.distribute.get_strategy().num_replicas_in_sync == 1
        # Compiled functions compute in float32.
        and not any(keras.backend.standardize_dtype(x.dtype) == "float64" for x in inputs)
    )


def draws_by_xla_alone() -> bool:
    """Whether dropout takes its random bytes from XLA's own generator instead of Philox."""
    return keras.backend.backend() == "jax"


def projects_at_once(frozen, *layers) -> bool:
    """Whether dense layers of the same input are computed as one product.

    That is faster if their kernels are concatenated once, but not if at every call.

    Args:
        frozen: `PrecomputedWeights`, or None if weights may change.
        *layers: the dense layers.
    """
    return frozen is not None and not is_quantized(*layers)


def fuses_attention() -> bool:
    """Whether attention without dropout uses `keras.ops.dot_product_attention`."""
    return keras.backend.backend() == "jax"


def flash_attention(query) -> bool | None:
    """Whether attention may use cuDNN's flash attention: False, or None to let Keras decide.

    Args:
        query: (batch, sequence, heads, size).
    """
    # With a mask, cuDNN only has gradients for even lengths, which Keras does not check.
    return False if query.shape[1] % 2 else None
