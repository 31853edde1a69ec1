"""Tagged words, and entities aggregated from them as in transformers' pipeline."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np


class TaggedWord(NamedTuple):
    """A word and its predicted class.

    Attributes:
        word: `text[start:end]`.
        label: name of the most probable class.
        score: the probability of that class.
        start: index of the first character in the text.
        end: index after the last character.

    Examples:
        >>> import kerasbert
        >>> word = kerasbert.tasks.TaggedWord("Oslo", "B-LOC", 0.9, start=13, end=17)
        >>> word.label, word.score
        ('B-LOC', 0.9)
    """

    word: str
    label: str
    score: float
    start: int
    end: int


class Entity(NamedTuple):
    """Neighboring words, or parts of words, of one entity type.

    Attributes:
        text: `text[start:end]`.
        label: the type, without `B-` or `I-`.
        score: mean of the words' probabilities.
        start: index of the first character in the text.
        end: index after the last character.

    Examples:
        >>> import kerasbert
        >>> entity = kerasbert.tasks.Entity("Ada Lovelace", "PER", 0.9, start=0, end=12)
        >>> entity.text, entity.label
        ('Ada Lovelace', 'PER')
    """

    text: str
    label: str
    score: float
    start: int
    end: int


def _of_first(scores: np.ndarray) -> np.ndarray:
    return scores[0]


def _of_surest(scores: np.ndarray) -> np.ndarray:
    return scores[scores.max(axis=-1).argmax()]


def _of_all(scores: np.ndarray) -> np.ndarray:
    return scores.mean(axis=0)


#: Functions from the probabilities of a word's tokens, (tokens, classes), to its own, (classes,).
WORD_SCORES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "first": _of_first,
    "max": _of_surest,
    "average": _of_all,
}
#: Values of `aggregation`; "simple" treats every token as a word of its own.
AGGREGATIONS = (*WORD_SCORES, "simple")


def join(text: str, parts: Sequence[TaggedWord]) -> list[Entity]:
    """Joins neighbors of the same type; `B-` starts a new entity, and `O` is outside of any."""
    groups: list[tuple[str, list[TaggedWord]]] = []
    for part in parts:
        begins, type = part.label.startswith("B-"), _type(part.label)
        if groups and groups[-1][0] == type and not begins:
            groups[-1][1].append(part)
        else:
            groups.append((type, [part]))
    return [
        Entity(
            text[group[0].start : group[-1].end],
            type,
            float(np.mean([part.score for part in group])),
            group[0].start,
            group[-1].end,
        )
        for type, group in groups
        if type != "O"
    ]


def _type(label: str) -> str:
    return label[2:] if label[:2] in ("B-", "I-") else label
