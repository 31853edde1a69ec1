"""Reading of files and datasets, and batches for training.

read_examples               labeled texts or pairs: TSV, CSV, JSON lines, TensorFlow Datasets
read_texts                  texts without labels
read_columns                words with labels: CoNLL columns
read_squad                  questions with answers
read_choices                multiple choice: SWAG, HellaSwag, RACE
read_pairs                  pairs of texts, with or without scores
Examples                    what these return
prepare_corpus              tokenizes text into a corpus for pretraining
Corpus                      reads it
PretrainingBatches          batches of it, with masks and pairs
"""

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
