"""Raw strings -> token ids, in the graph."""

from kerasbert.text.offsets import bytes_to_characters
from kerasbert.text.packing import TextPacker, pack, truncate_pair
from kerasbert.text.vocabulary import load_vocabulary, train_vocabulary
from kerasbert.text.wordpiece import WordPieceTokenizer

# The tokenizer of a saved model is named by its kind; the kinds are listed here and nowhere else.
TOKENIZERS = {WordPieceTokenizer.kind: WordPieceTokenizer}

__all__ = [
    "TOKENIZERS",
    "TextPacker",
    "WordPieceTokenizer",
    "bytes_to_characters",
    "load_vocabulary",
    "pack",
    "train_vocabulary",
    "truncate_pair",
]
