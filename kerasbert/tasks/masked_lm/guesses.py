"""Predictions for mask tokens."""

from typing import NamedTuple

import numpy as np


class Guess(NamedTuple):
    """A prediction for a mask token.

    Attributes:
        token: the predicted token, as the vocabulary spells it.
        score: its probability.
        sequence: the text with the mask replaced by the token; other masks stay.

    Examples:
        >>> import kerasbert
        >>> guess = kerasbert.tasks.Guess(token="dog", score=0.7, sequence="the dog barks")
        >>> guess.token, guess.score
        ('dog', 0.7)
    """

    token: str
    score: float
    sequence: str


def best_tokens(logits: np.ndarray, top_k: int, ids: np.ndarray) -> list[tuple[int, float]]:
    """Returns ids and probabilities of the best tokens for a mask.

    Args:
        logits: float, (vocabulary,).
        top_k: number of tokens.
        ids: int, the candidates.
    """
    weights = np.exp(logits - logits.max())
    best = ids[np.argsort(-logits[ids], kind="stable")[:top_k]]
    return [(int(id), float(weights[id] / weights.sum())) for id in best]
