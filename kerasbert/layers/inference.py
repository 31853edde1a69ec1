"""Whether a graph that is traced will only answer: layers have other forms for that."""

import contextlib
import contextvars
from collections.abc import Callable, Hashable, Iterator

import keras


class PrecomputedWeights:
    """What layers compute of weights that will not change, once for all graphs. On TensorFlow."""

    def __init__(self):
        #: `tf.Variable`s; whoever keeps the graphs keeps these.
        self.variables = {}

    def once(self, key: Hashable, function: Callable):
        """The variable of a key; it is made of what the function gives."""
        import tensorflow as tf

        if key not in self.variables:
            with tf.init_scope():
                self.variables[key] = tf.Variable(function(), trainable=False)
        return self.variables[key]


_only_inference = contextvars.ContextVar("only_inference", default=False)
_frozen_weights = contextvars.ContextVar("frozen_weights", default=None)


@contextlib.contextmanager
def inference_mode(frozen: PrecomputedWeights | None = None) -> Iterator[None]:
    """While this lasts, layers that do not train take the form that answers fastest.

    Encoders compute unpadded tokens only (see `UnpaddedTokens`). For functions of texts of any
    length, as they are traced; not for those that XLA compiles, which has to know how many tokens
    there are. On TensorFlow; elsewhere nothing changes.

    Args:
        frozen: for graphs whose weights never change; takes what is computed of them.
    """
    on_tensorflow = keras.backend.backend() == "tensorflow"
    tokens = _only_inference.set(on_tensorflow), _frozen_weights.set(on_tensorflow and frozen)
    try:
        yield
    finally:
        _only_inference.reset(tokens[0])
        _frozen_weights.reset(tokens[1])


def is_inference_mode() -> bool:
    """Whether `inference_mode` lasts."""
    return _only_inference.get()


def frozen_weights() -> PrecomputedWeights | None:
    """What takes tensors of weights that never change; None if they may."""
    return _frozen_weights.get() or None
