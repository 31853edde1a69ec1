"""The tokenizer files of Hugging Face and Google directories, read and written.

The files determine the tokenizer. Contradictory files and unsupported settings are rejected. The
vocabulary is read from its own file if it exists (vocab.txt, vocab.json and merges.txt, a
SentencePiece model), otherwise from tokenizer.json, the only file that transformers 5 writes.
"""

from kerasbert.checkpoints.tokenizer_files.reading import exist, load
from kerasbert.checkpoints.tokenizer_files.writing import save

__all__ = ["exist", "load", "save"]
