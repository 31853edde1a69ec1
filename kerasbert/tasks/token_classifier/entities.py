"""Tagged words, and the entities that they are joined to, as transformers' pipeline joins them."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np


class TaggedWord(NamedTuple):
    """A word and its class.

    Attributes:
        word: `text[start:end]`.
        label: the name of its likeliest class.
        score: the class's probability.
        start: its first character's place in the text.
        end: the place after its last character.
    """

    word: str
    label: str
    score: float
    start: int
    end: int


class Entity(NamedTuple):
    """Neighbouring words, or parts of words, of one type.

    Attributes:
        text: `text[start:end]`.
        label: the type, without `B-` or `I-`.
        score: the mean of their probabilities.
        start: the first character's place in the text.
        end: the place after the last character.
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


#: From the probabilities of a word's tokens, (tokens, classes), to the word's, (classes,).
WORD_SCORES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "first": _of_first,
    "max": _of_surest,
    "average": _of_all,
}
#: The ways in which `join` gets its parts; "simple" takes every token for itself.
AGGREGATIONS = (*WORD_SCORES, "simple")


def join(text: str, parts: Sequence[TaggedWord]) -> list[Entity]:
    """Joins neighbours of the same type; one with `B-` starts anew, and `O` is no type."""
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
