"""Where there are several ways to compute the same: which one is taken where. The only such place.

| | TensorFlow | JAX |
|---|---|---|
| element-wise parts (`Island`) | on CPUs each is compiled; on GPUs the whole step | all is |
| dropout | masks of random bytes | masks of random bytes |
| attention without dropout | products and a softmax | one operation, on GPUs cuDNN's |
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
