"""Dropout with different masks on different replicas."""

import contextvars
import functools
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kerasbert.errors import InputError
from kerasbert.layers import backends
from kerasbert.layers.fused_ops import FusedOp

# Inside a function of `same_masks`: draws the next seed, or repeats it from the first call.
_next_seed: contextvars.ContextVar[Callable | None] = contextvars.ContextVar("next", default=None)


@keras.saving.register_keras_serializable("kerasbert")
class Dropout(keras.layers.Dropout):
    """Dropout whose masks differ between the replicas of `tf.distribute`.

    Keras gives all replicas the same seed, so that the same noise repeats within the global batch.
    A mask takes one random byte per element instead of four: the rate is rounded to a multiple of
    1/256, and kept elements are scaled by the rounded rate.

    Call: `inputs` of any shape, and whether it is `training` -> the same shape.

    Examples:
        >>> import numpy as np
        >>> import kerasbert
        >>> layer = kerasbert.layers.Dropout(0.5)
        >>> x = np.ones((100, 100), "float32")
        >>> dropped = layer(x, training=True).numpy()
        >>> sorted(set(dropped.flatten().tolist()))
        [0.0, 2.0]
        >>> (layer(x).numpy() == x).all()
        np.True_

    Args:
        rate: share of the elements to drop, in [0, 1).
        *args: as in `keras.layers.Dropout`.
        **kwargs: as in `keras.layers.Dropout`.

    Raises:
        InputError: the rate is out of range.
    """

    def __init__(self, rate: float, *args: Any, **kwargs: Any):
        if not 0 <= rate < 1:
            raise InputError(f"dropout must be in [0, 1), found {rate!r}")
        super().__init__(rate, *args, **kwargs)

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Drops elements in training only."""
        if not training or self.rate == 0:
            return inputs
        if self.draws_bytes:
            return _dropped(self.threshold)(inputs, self.random_bytes(inputs))
        seeds = _ReplicaSeeds(self.seed_generator)
        return keras.random.dropout(inputs, self.rate, self.noise_shape, seed=seeds)

    @property
    def threshold(self) -> int:
        """Elements whose random byte is below this are dropped."""
        return round(self.rate * 256)

    @property
    def draws_bytes(self) -> bool:
        """Whether masks are made from `random_bytes`."""
        return 0 < self.threshold < 256 and self.noise_shape is None

    def random_bytes(self, inputs: Any) -> Any:
        """Draws the next uint8 tensor of the shape of `inputs`.

        Args:
            inputs: tensor.
        """
        seed = _ReplicaSeeds(self.seed_generator).next()
        if backends.draws_by_xla_alone():
            return _random_bytes_on_jax(seed, inputs.shape)
        import tensorflow as tf

        seed = tf.cast(seed, tf.int64)
        known = inputs.shape.is_fully_defined()
        shape = inputs.shape if known else tf.shape(inputs)
        size = inputs.shape.num_elements() if known else tf.size(inputs)
        draw = _compiled_random_words if backends.compiles(inputs) else _random_words
        words = draw((size + 3) // 4, seed)
        return tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size], shape)


def _random_bytes_on_jax(seed, shape):
    import jax

    # XLA's own generator (Philox on GPUs), four bytes per word: JAX's default is slower.
    key = jax.random.wrap_key_data(jax.numpy.concatenate([seed, seed]), impl="rbg")
    size = math.prod(shape)
    words = jax.random.bits(key, ((size + 3) // 4,), "uint32")
    random_bytes = jax.lax.bitcast_convert_type(words, "uint8")
    return jax.numpy.reshape(jax.numpy.ravel(random_bytes)[:size], shape)


def _random_words(count, seed):
    import tensorflow as tf

    return tf.random.stateless_uniform(
        [count], seed, minval=None, maxval=None, dtype=tf.uint32, alg="philox"
    )


def _compiled_random_words(count: int, seed):
    """Draws the same words as `_random_words`; XLA draws several at once."""
    return _random_words_function(count)(seed)


@functools.cache
def _random_words_function(count: int) -> Callable:
    import tensorflow as tf

    return tf.function(functools.partial(_random_words, count), jit_compile=True, autograph=False)


def dropped(x: Any, threshold: int, random_bytes: Any) -> Any:
    """Drops the elements of `x` whose byte is below the threshold, and scales the others up."""
    scale = ops.cast(256 / (256 - threshold), x.dtype)
    return x * (ops.cast(random_bytes >= threshold, x.dtype) * scale)


@functools.cache
def _dropped(threshold: int) -> FusedOp:
    return FusedOp(lambda x, random_bytes: dropped(x, threshold, random_bytes))


class _ReplicaSeeds(keras.random.SeedGenerator):
    """Seeds of a generator, shifted by the replica's number."""

    def __init__(self, generator: keras.random.SeedGenerator):
        self.generator = generator  # keeps the state

    def next(self, ordered=True):
        draw = _next_seed.get()
        return draw(self._draw) if draw else self._draw(ordered)

    def _draw(self, ordered=True):
        seed = self.generator.next(ordered)
        if keras.backend.backend() != "tensorflow":
            return seed
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        replica = tf.cast(context.replica_id_in_sync_group, seed.dtype)
        # The generator increments only the second number, so no two seeds of a layer are equal.
        return seed + tf.stack([replica * 7_919, tf.zeros_like(replica)])


def same_masks(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function with dropout masks that are drawn in its first call, then repeated."""
    seeds = []

    def call(*args):
        again = iter(seeds) if seeds else None

        def next_seed(draw):
            if again:
                return next(again)
            seeds.append(draw())
            return seeds[-1]

        token = _next_seed.set(next_seed)
        try:
            return function(*args)
        finally:
            _next_seed.reset(token)

    return call
