# Written by tests/stubs.py.

from kerasbert.data.choices import read_choices as read_choices
from kerasbert.data.columns import read_columns as read_columns
from kerasbert.data.corpus.prepare import prepare_corpus as prepare_corpus
from kerasbert.data.corpus.reader import Corpus as Corpus
from kerasbert.data.examples import Examples as Examples
from kerasbert.data.examples import read_examples as read_examples
from kerasbert.data.examples import read_texts as read_texts
from kerasbert.data.pairs import read_pairs as read_pairs
from kerasbert.data.pretraining.batches import PretrainingBatches as PretrainingBatches
from kerasbert.data.squad import read_squad as read_squad

__all__ = [
    "Corpus",
    "Examples",
    "PretrainingBatches",
    "prepare_corpus",
    "read_choices",
    "read_columns",
    "read_examples",
    "read_pairs",
    "read_squad",
    "read_texts",
]
