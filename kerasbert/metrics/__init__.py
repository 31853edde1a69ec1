"""Metrics with the definitions of the official scripts, over all examples at once.

classification              accuracy, F1, correlations
entities                    entity F1, as seqeval computes it
squad                       exact match and F1 of answers
"""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__, {}, ("classification", "entities", "squad")
)
