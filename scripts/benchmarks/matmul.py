"""Matrix products: the machine's peak throughput, and the operations of an encoder."""

import functools
import os
import time
from typing import TYPE_CHECKING

from benchmarks.device import gpu_name
from benchmarks.timing import Candidate

if TYPE_CHECKING:  # torch's candidates must not import TensorFlow
    from kerasbert.config import BackboneConfig

# Shapes (rows, inner, columns) as in encoders; the fastest defines the peak throughput.
_SHAPES = ((4096, 768, 3072), (4096, 1024, 4096), (2048, 2048, 2048), (4096, 4096, 4096))
_SHAPES_ON_GPU = (*_SHAPES, (8192, 8192, 8192))
_SECONDS = 0.25  # per run


def ceiling(precision: str, backend: str = "tensorflow") -> Candidate:
    """Returns a candidate that multiplies matrices of the fastest shape; it returns its FLOPs."""
    environment = {"KERAS_BACKEND": backend}
    return Candidate(f"ceiling {precision}", "", _multiply, (precision,), environment)


def _multiply(precision: str):
    product, wait = _on_jax() if os.environ["KERAS_BACKEND"] == "jax" else _on_tensorflow()

    def seconds(shape):
        multiply(shape, 1)
        start = time.perf_counter()
        multiply(shape, 5)
        return (time.perf_counter() - start) / 5

    @functools.cache
    def matrices(shape):
        from keras import ops, random

        rows, inner, columns = shape
        kinds = random.normal((rows, inner)), random.normal((inner, columns))
        return [ops.cast(matrix, precision) for matrix in kinds]

    def multiply(shape, times):
        for _ in range(times):
            result = product(*matrices(shape))
        wait(result)  # a GPU computes asynchronously

    def flops(shape):
        rows, inner, columns = shape
        return 2 * rows * inner * columns

    shapes = _SHAPES_ON_GPU if gpu_name() else _SHAPES
    took = {shape: seconds(shape) for shape in shapes}
    best = max(shapes, key=lambda shape: flops(shape) / took[shape])
    repeats = max(1, round(_SECONDS / took[best]))
    return functools.partial(multiply, best, repeats), repeats * flops(best)


def _on_tensorflow():
    import tensorflow as tf

    product = tf.function(lambda a, b: tf.matmul(a, b), autograph=False)
    return product, lambda _: tf.test.experimental.sync_devices()


def _on_jax():
    import jax

    return jax.jit(jax.numpy.matmul), jax.block_until_ready


def encoder_flops(config: "BackboneConfig", lengths) -> int:
    """Returns the FLOPs of a forward pass over sequences of given lengths (Kaplan et al. 2020, §2).

    Counts two per multiply-add: projections and feed-forward of each token, and attention of each
    token to all tokens of its sequence.
    """
    hidden = config.hidden_dim
    dense = 8 * hidden**2 + 4 * hidden * config.intermediate_dim
    per_layer = sum(length * dense + 4 * length**2 * hidden for length in lengths)
    pooler = 2 * hidden**2 * len(lengths) if config.pooler else 0
    return len(config.layer_order) * per_layer + pooler


def masked_head_flops(config: "BackboneConfig", predicted: int) -> int:
    """Returns the FLOPs of a forward pass of the masked-language-model head."""
    width = config.embedding_dim or config.hidden_dim
    return predicted * 2 * (config.hidden_dim * width + width * config.vocabulary_size)
