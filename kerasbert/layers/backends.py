"""Chooses between implementations that compute the same.

| | TensorFlow | JAX |
|---|---|---|
| element-wise operations | each compiled if that is faster (`FusedOp`) | compiled with the step |
| random bytes of dropout | Philox, by XLA where ops are fused | XLA's own generator |
| attention without dropout | matrix products and a softmax | one operation; on GPUs cuDNN's |
| query, key and value | one product if weights are frozen, else three | three products |
| loss over a vocabulary | in parts if the step is compiled, else from all logits | in parts |
| padding | skipped in graphs for inference | computed |

Training on TensorFlow also depends on the device (JAX compiles every step):

| | CPU | GPU | TPU |
|---|---|---|---|
| precision, the user's choice | the faster one | bfloat16 | bfloat16 |
| whole step compiled by XLA | no: oneDNN's products are faster | in long runs | always |
| element-wise operations compiled | yes | yes | with the step |
| lengths of batches of text | the longest row | few, if the step is compiled | few |
| steps per execution | 1 | up to 10 | up to 10 |

All choices are made here, except the last, which `inference` makes. Tests compare the
implementations (`tests/layers/`), and docs/performance.md has their gains.
"""

import math
from typing import Any

import keras

from kerasbert.layers.state import is_quantized

# With fewer elements, a pass through memory is cheaper than calling a compiled function.
_WORTH_COMPILING = 2**16
# On an H100 (12 x 768, 64 x 512 tokens) compiling the step takes 109 s longer and saves 0.1 s per
# step, so it pays off after 1,100 steps.
_STEPS_WORTH_COMPILING = 2_000
_STEPS_AT_ONCE = 10  # on a GPU or TPU
_TOKENS_AT_ONCE = 8_192  # of a vocabulary


def compiles(*inputs: Any) -> bool:
    """Whether XLA can compile operations on such tensors, and whether that is faster."""
    if keras.backend.backend() != "tensorflow":
        return False
    return (
        all(x.shape.is_fully_defined() for x in inputs)
        and max(x.shape.num_elements() for x in inputs) >= _WORTH_COMPILING
        # Compiled functions compute in float32.
        and not any(keras.backend.standardize_dtype(x.dtype) == "float64" for x in inputs)
    )


def computes_on_cpu() -> bool:
    """Whether the Keras backend has no other device than the CPU."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.default_backend() == "cpu"
    import tensorflow as tf

    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def compiles_steps(steps: int, shapes: int) -> bool:
    """Whether XLA compiles the whole step of a run of one replica on TensorFlow by default.

    Args:
        steps: integer, the steps of the run.
        shapes: integer, the number of different shapes of its batches; each is compiled.
    """
    return not computes_on_cpu() and steps >= _STEPS_WORTH_COMPILING * shapes


def steps_per_execution(*counts: int) -> int:
    """Returns the default of `steps_per_execution`.

    Args:
        *counts: integers that it must divide, such as the steps between two reports; 0 is ignored.
    """
    if computes_on_cpu() or keras.backend.backend() == "jax":  # JAX does not wait for a step
        return 1
    whole = math.gcd(*counts)
    return max(count for count in range(1, _STEPS_AT_ONCE + 1) if whole % count == 0)


def vocabulary_parts(vocabulary: int) -> int:
    """Returns in how many parts a compiled step computes the loss over a vocabulary.

    With several, it does not keep a logit for every position and token; see `vocabulary_loss`.

    Args:
        vocabulary: integer, the number of tokens.
    """
    return math.ceil(vocabulary / _TOKENS_AT_ONCE)


def draws_by_xla_alone() -> bool:
    """Whether dropout takes its random bytes from XLA's own generator instead of Philox."""
    return keras.backend.backend() == "jax"


def projects_at_once(frozen: Any, *layers: Any) -> bool:
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


def flash_attention(query: Any) -> bool | None:
    """Whether attention may use cuDNN's flash attention: False, or None to let Keras decide.

    Args:
        query: (batch, sequence, heads, size).
    """
    # With a mask, cuDNN only has gradients for even lengths, which Keras does not check.
    return False if query.shape[1] % 2 else None
