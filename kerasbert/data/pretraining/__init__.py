"""Batches for pretraining: examples of a corpus or of strings, and their masks.

PretrainingBatches          batches of a corpus
PhasedBatches               batches whose shape changes in a run
Mixture                     several corpora, in shares
Masking                     which tokens are masked, and by what
SimilarWords                words that masked words can become, as in MacBERT
"""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "Masking": "masking",
        "Mixture": "mixture",
        "PhasedBatches": "phases",
        "PretrainingBatches": "batches",
        "SimilarWords": "similar_words",
    },
)
