"""Which of several ways to compute the same is taken where.

| | TensorFlow | JAX |
|---|---|---|
| element-wise parts | each is compiled where that pays (`Island`) | compiled with the whole step |
| dropout's random bytes | TensorFlow's Philox, or XLA's in islands | XLA's own generator |
| attention without dropout | products and a softmax | one operation, on GPUs cuDNN's |

The first two are decided in `islands` and `dropout`, the last here.
"""

import keras


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
