"""A mode for graphs that are only used for inference, in which layers compute less."""

import contextlib
import contextvars
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import keras


class PrecomputedWeights:
    """Tensors that layers compute from frozen weights, shared by all graphs. For TensorFlow."""

    def __init__(self):
        #: `tf.Variable`s; they must live as long as the graphs.
        self.variables = {}

    def once(self, key: Hashable, function: Callable[..., Any]) -> Any:
        """Returns the variable of a key; on first use it is created from the function's result."""
        import tensorflow as tf

        if key not in self.variables:
            with tf.init_scope():
                self.variables[key] = tf.Variable(function(), trainable=False)
        return self.variables[key]


_only_inference: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "only_inference", default=False
)
_frozen_weights: contextvars.ContextVar[PrecomputedWeights | None] = contextvars.ContextVar(
    "frozen_weights", default=None
)


@contextlib.contextmanager
def inference_mode(frozen: PrecomputedWeights | None = None) -> Iterator[None]:
    """Context in which layers are traced for inference: they take their fastest form.

    Encoders skip padding (see `UnpaddedTokens`). For functions of texts of any length, but not for
    functions that XLA compiles, which needs a fixed number of tokens. Has no effect on backends
    other than TensorFlow.

    Args:
        frozen: for graphs whose weights never change, collects what layers compute from weights.
    """
    on_tensorflow = keras.backend.backend() == "tensorflow"
    weights = frozen if on_tensorflow else None
    tokens = _only_inference.set(on_tensorflow), _frozen_weights.set(weights)
    try:
        yield
    finally:
        _only_inference.reset(tokens[0])
        _frozen_weights.reset(tokens[1])


def is_inference_mode() -> bool:
    """Whether the code runs in an `inference_mode` context."""
    return _only_inference.get()


def frozen_weights() -> PrecomputedWeights | None:
    """Returns the collection of tensors of frozen weights; None if weights may change."""
    return _frozen_weights.get() or None
