"""Metrics with the definitions of the official scripts, over all examples at once."""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__, {}, ("classification", "entities", "squad")
)
