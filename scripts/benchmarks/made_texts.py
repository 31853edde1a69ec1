"""Texts and a vocabulary for machines that have none: random words, as long as SST-2's phrases."""

import pathlib
import random
import string
from collections.abc import Iterable

import numpy as np

from kerasbert import files

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_VOCABULARY = 30_522
_EXAMPLES = 10_000
# Words of a text at each tenth of SST-2's 67,349 training texts, whose mean is 9.4.
_TENTHS = (1, 2, 3, 4, 5, 7, 9, 12, 15, 21, 52)


def write(directory: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes the same files each time; returns the paths of a vocabulary and of labeled texts."""
    chosen = random.Random(0)
    letters = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    words = {}  # a dict keeps their order
    while len(_SPECIAL) + len(letters) + len(words) < _VOCABULARY:
        words["".join(chosen.choices(string.ascii_lowercase, k=chosen.randint(3, 8)))] = None
    words = list(words)
    lines = ["text\tlabel"]
    for _ in range(_EXAMPLES):
        tenth = chosen.randrange(len(_TENTHS) - 1)
        count = chosen.randint(_TENTHS[tenth], _TENTHS[tenth + 1])
        lines.append(f"{' '.join(chosen.choices(words, k=count))}\t{chosen.choice(('no', 'yes'))}")
    vocab, texts = directory / "vocab.txt", directory / "short_texts.tsv"
    vocab.write_text("\n".join([*_SPECIAL, *letters, *words]) + "\n")
    texts.write_text("\n".join(lines) + "\n")
    return vocab, texts


def drawn(
    vocab: str | pathlib.Path, counts: Iterable[int], chooser: np.random.Generator
) -> list[str]:
    """Returns texts of random whole words of a vocabulary.

    Args:
        vocab: path of a WordPiece vocabulary.
        counts: the number of words of each text.
        chooser: the source of randomness.
    """
    with files.open_text(vocab) as file:
        words = [word for word in map(str.strip, file) if word.isascii() and word.isalpha()]
    return [" ".join(chooser.choice(words, count)) for count in counts]
