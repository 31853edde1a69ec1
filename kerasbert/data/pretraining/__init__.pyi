# Written by tests/stubs.py.

from kerasbert.data.pretraining.batches import PretrainingBatches as PretrainingBatches
from kerasbert.data.pretraining.masking import Masking as Masking
from kerasbert.data.pretraining.mixture import Mixture as Mixture
from kerasbert.data.pretraining.phases import PhasedBatches as PhasedBatches
from kerasbert.data.pretraining.similar_words import SimilarWords as SimilarWords

__all__ = [
    "Masking",
    "Mixture",
    "PhasedBatches",
    "PretrainingBatches",
    "SimilarWords",
]
