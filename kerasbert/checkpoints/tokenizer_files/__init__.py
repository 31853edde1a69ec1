"""The tokenizer files of Hugging Face and Google directories <-> our tokenizers.

What the files say is taken; where they contradict each other, or ask for what our tokenizers don't
do, they are refused. The vocabulary's own file is read where there is one (vocab.txt, vocab.json
and merges.txt, a SentencePiece model), else tokenizer.json, which is all that transformers 5
writes.
"""

from kerasbert.checkpoints.tokenizer_files.reading import exist, load
from kerasbert.checkpoints.tokenizer_files.writing import save

__all__ = ["exist", "load", "save"]
