"""Batches for pretraining: examples of a corpus or of strings, and their masks."""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "Masking": "masking",
        "Mixture": "mixture",
        "PhasedBatches": "phases",
        "PretrainingBatches": "batches",
    },
)
