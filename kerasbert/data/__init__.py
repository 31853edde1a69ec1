"""Reading of files and datasets, and batches for training."""

from kerasbert import lazy

__getattr__, __dir__, __all__ = lazy.attributes(
    __name__,
    {
        "Corpus": "corpus.reader",
        "Examples": "examples",
        "PretrainingBatches": "pretraining.batches",
        "prepare_corpus": "corpus.prepare",
        "read_choices": "choices",
        "read_columns": "columns",
        "read_examples": "examples",
        "read_pairs": "pairs",
        "read_squad": "squad",
        "read_texts": "examples",
    },
)
