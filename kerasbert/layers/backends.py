"""Which of several ways to compute the same is taken where.

| | TensorFlow | JAX |
|---|---|---|
| element-wise parts | each is compiled where that pays (`FusedOp`) | compiled with the whole step |
| dropout's random bytes | Philox, drawn by XLA where ops are fused | XLA's own generator |
| attention without dropout | products and a softmax | one operation, on GPUs cuDNN's |
| query, key and value | one product where weights are frozen, else three | three products |
| padding | left out where a graph will only answer | computed |

Every choice is made here, but for the last: `inference` says what a graph is for. All the ways give
the same, which tests compare (`tests/layers/`). What each gained is in docs/performance.md.
"""

import keras

from kerasbert.layers.state import is_quantized

# Below so many elements a pass through the memory costs less than compiling.
_WORTH_COMPILING = 2**16


def compiles(*inputs) -> bool:
    """Whether XLA may compile what is done to such tensors, and whether it pays."""
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
    """Whether dropout's random bytes come from XLA's own generator instead of Philox."""
    return keras.backend.backend() == "jax"


def projects_at_once(frozen, *layers) -> bool:
    """Whether dense layers of the same input are one product.

    That pays where their kernels are put side by side once, not where it is done at every call.

    Args:
        frozen: `PrecomputedWeights`, or None if weights may change.
        *layers: the dense layers.
    """
    return frozen is not None and not is_quantized(*layers)


def fuses_attention() -> bool:
    """Whether attention that drops out nothing is `keras.ops.dot_product_attention`."""
    return keras.backend.backend() == "jax"


def flash_attention(query) -> bool | None:
    """Whether that may be cuDNN's flash attention: `False`, or None where Keras looks further.

    Args:
        query: (batch, sequence, heads, size).
    """
    # With a mask cuDNN has gradients for even lengths only, which Keras does not look at.
    return False if query.shape[1] % 2 else None
