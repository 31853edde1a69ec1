"""TensorFlow's stateless random numbers in NumPy, with identical bits.

Batches are pure functions of seeds. With these functions, a run without TensorFlow draws the same
batches. They compute what the TensorFlow ops compute on CPUs: Philox 4x32-10 (Salmon et al. 2011)
with a scrambled seed and, for index permutations, SIMON (Beaulieu et al. 2013) with as many bits as
needed.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

_WORD = np.uint64(0xFFFFFFFF)
_ROUND_FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_SCRAMBLING_KEY = np.uint64(0x3EC8F720), np.uint64(0x02461E29)
_PHILOX_ROUNDS = 10
_SHUFFLE_ROUNDS = 16
_SIMON_CONSTANTS = 0x7369F885192C0EF5
_FEWEST_BITS = 16  # of a permutation


def seed_of(*parts: Any) -> np.ndarray:
    """Makes a seed of integers: int64."""
    return np.array(parts, np.int64)


def split(seed: np.ndarray, count: int) -> np.ndarray:
    """Does what `tf.random.experimental.stateless_split` does: int64, (count, 2)."""
    return _words64(seed, 2 * count).view(np.int64).reshape(count, 2)


def uniform(shape: Any, seed: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """Does what `tf.random.stateless_uniform` does for floats in [0, 1)."""
    size = math.prod(shape)
    if dtype == np.float32:
        bits = _words(seed, size) & np.uint32(0x7FFFFF) | np.uint32(127 << 23)
    else:
        bits = np.reshape(_words(seed, 2 * size), (-1, 2)).astype(np.uint64)
        bits = (bits[:, 0] & np.uint64(0xFFFFF)) << np.uint64(32) | bits[:, 1]
        bits |= np.uint64(1023 << 52)
    return bits.view(dtype).reshape(shape) - dtype(1)


def integers(shape: Any, seed: np.ndarray, limit: int) -> np.ndarray:
    """Does what `tf.random.stateless_uniform` does for int32 from 0 to below `limit`."""
    return (_words(seed, math.prod(shape)) % np.uint32(limit)).astype(np.int32).reshape(shape)


def index_shuffle(index: np.ndarray, seed: tuple[int, int, int], largest: int) -> np.ndarray:
    """Permutes the integers from 0 to `largest`, as `graph_ops.index_shuffle` does.

    Args:
        index: int64, (rows,), the indices to permute.
        seed: three integers, which determine the permutation.
        largest: integer, the largest index of the permutation.

    Returns:
        int64, (rows,).
    """
    if not largest:
        return np.zeros_like(index)
    # For powers of two TensorFlow's op is wrong: one index more is permuted, and passed over.
    last = largest + (largest & (largest - 1) == 0)
    bits = math.ceil(math.log2(last))
    half = max(bits + bits % 2, _FEWEST_BITS) // 2
    # With few indices, most outputs of the cipher are out of range, and it is called many times.
    encrypt = _table(seed).take if 2 * half == _FEWEST_BITS else _cipher(seed, half)
    found, beyond = index.astype(np.uint64), np.arange(len(index))
    while len(beyond):  # until all are in range
        found[beyond] = encrypt(found[beyond].astype(np.int64))
        beyond = beyond[found[beyond] > largest]
    return found.astype(np.int64)


# === Philox ===


def _words(seed, count: int) -> np.ndarray:
    """Returns `count` random uint32."""
    with np.errstate(over="ignore"):
        first, second = np.asarray(seed, np.int64).view(np.uint64)
        counter = [first & _WORD, first >> np.uint64(32), second & _WORD, second >> np.uint64(32)]
        mixed = _philox([np.array([part]) for part in counter], _SCRAMBLING_KEY)
        number = np.arange(-(-count // 4), dtype=np.uint64)
        rest = [np.broadcast_to(part, number.shape) for part in mixed[2:]]
        found = _philox([number & _WORD, number >> np.uint64(32), *rest], (mixed[0], mixed[1]))
    return np.stack(found, axis=1).astype(np.uint32).reshape(-1)[:count]


def _words64(seed, count: int) -> np.ndarray:
    """Returns `count` random uint64, each of two words, the lower one first."""
    words = _words(seed, 2 * count).reshape(-1, 2).astype(np.uint64)
    return words[:, 0] | words[:, 1] << np.uint64(32)


def _philox(counter: list, key) -> list:
    """Applies ten rounds: four words, as uint64, for each counter of four words."""
    a, b, c, d = counter
    first, second = key
    for _ in range(_PHILOX_ROUNDS):
        left, right = a * _ROUND_FACTORS[0], c * _ROUND_FACTORS[1]
        a, b, c, d = (
            right >> np.uint64(32) ^ b ^ first,
            right & _WORD,
            left >> np.uint64(32) ^ d ^ second,
            left & _WORD,
        )
        first, second = (first + _KEY_STEPS[0]) & _WORD, (second + _KEY_STEPS[1]) & _WORD
    return [a, b, c, d]


# === SIMON ===


@functools.lru_cache(maxsize=4)
def _table(seed: tuple) -> np.ndarray:
    """Returns the cipher's output for every number of the fewest bits."""
    return _cipher(seed, _FEWEST_BITS // 2)(np.arange(1 << _FEWEST_BITS))


def _cipher(seed: tuple, half: int) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a permutation of all numbers of `2 * half` bits."""
    mask = np.uint64((1 << half) - 1)

    def turned(x, by):  # to the right
        return (x >> np.uint64(by) | x << np.uint64(half - by)) & mask

    def mixed(x):
        return turned(x, half - 1) & turned(x, half - 8) ^ turned(x, half - 2)

    keys = [np.uint64(part & int(_WORD & mask)) for part in seed]
    constants = _SIMON_CONSTANTS & int(mask)
    for _ in range(len(keys), _SHUFFLE_ROUNDS):
        constant = np.uint64((0xFFFFFFFC ^ constants & 1) & int(mask))
        keys.append(constant ^ keys[-3] ^ turned(keys[-1], 3) ^ turned(keys[-1], 4))
        constants >>= 1

    def encrypt(numbers):
        numbers = numbers.astype(np.uint64)
        left, right = numbers >> np.uint64(half) & mask, numbers & mask
        for first, second in zip(keys[::2], keys[1::2], strict=True):
            left = left ^ mixed(right) ^ first
            right = right ^ mixed(left) ^ second
        return left << np.uint64(half) | right

    return encrypt
