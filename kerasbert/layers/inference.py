"""Whether a graph that is traced will only answer: layers have other forms for that."""

import contextlib
import contextvars
from collections.abc import Iterator

import keras

_only_inference = contextvars.ContextVar("only_inference", default=False)


@contextlib.contextmanager
def only_inference() -> Iterator[None]:
    """While this lasts, layers that do not train take the form that answers fastest.

    Encoders compute real tokens only (see `RealTokens`), LayerNorm is one operation. For functions
    of texts of any length, as they are traced; not for those that XLA compiles, which has to know
    how many tokens are real. On TensorFlow; elsewhere nothing changes.
    """
    token = _only_inference.set(keras.backend.backend() == "tensorflow")
    try:
        yield
    finally:
        _only_inference.reset(token)


def is_only_inference() -> bool:
    """Whether `only_inference` lasts."""
    return _only_inference.get()
