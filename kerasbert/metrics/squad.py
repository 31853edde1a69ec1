"""Exact match and F1 of extracted answers, as SQuAD's official scripts define them.

`evaluate_v1` gives what `evaluate-v1.1.py` (Rajpurkar et al. 2016, §6.1) does and `evaluate_v2`
what `evaluate-v2.0.py` (Rajpurkar et al. 2018) does. Both know only English articles and tell words
by white space. XQuAD is officially measured with the script of SQuAD 1.1 in every language, Chinese
included, where an answer is then mostly a single word.
"""

import collections
import re
import string
from collections.abc import Callable, Sequence

import numpy as np

from kerasbert.errors import InputError

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(text: str) -> str:
    """Small letters, no ASCII punctuation, no English articles, single spaces."""
    words = _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION))
    return " ".join(words.split())


def exact_match(answer: str, prediction: str) -> float:
    """1 if the two are the same after `normalize`, else 0."""
    return float(normalize(answer) == normalize(prediction))


def f1(answer: str, prediction: str, *, of_nothing: float = 1.0) -> float:
    """The harmonic mean of precision and recall of the prediction's words, as multisets.

    Args:
        answer: the right answer.
        prediction: what is to be judged.
        of_nothing: the value if neither has a word after `normalize`: 1 in SQuAD 2.0, 0 in 1.1.
    """
    right, predicted = (collections.Counter(normalize(x).split()) for x in (answer, prediction))
    if not right and not predicted:
        return of_nothing
    return 2 * (right & predicted).total() / (right.total() + predicted.total())


def _f1_v1(answer: str, prediction: str) -> float:
    return f1(answer, prediction, of_nothing=0.0)


def evaluate_v1(
    answers: Sequence[Sequence[str]], predictions: Sequence[str | None]
) -> dict[str, float]:
    """What `evaluate-v1.1.py` prints.

    Args:
        answers: the right answers of each question, one or more; the one that fits best counts.
        predictions: one for each question; None, of which there is none, scores 0.

    Returns:
        `exact_match` and `f1`, in percent.

    Raises:
        InputError: there are no questions, or one has no answer.
    """
    _check(answers, predictions)
    if not all(answers):
        raise InputError(
            "SQuAD 1.1's metric needs an answer to every question; evaluate_v2 doesn't"
        )
    return {
        "exact_match": 100 * float(_best(exact_match, answers, predictions).mean()),
        "f1": 100 * float(_best(_f1_v1, answers, predictions).mean()),
    }


def evaluate_v2(
    answers: Sequence[Sequence[str]],
    predictions: Sequence[str | None],
    no_answer: Sequence[float] | None = None,
    threshold: float = 1.0,
) -> dict[str, float]:
    """What `evaluate-v2.0.py` prints, its `exact` under the name of `exact_match`.

    Args:
        answers: the right answers of each question; none, if it can't be answered.
        predictions: one for each question; "" says that there is no answer. None, of which there is
            none, scores 0 as in SQuAD 1.1 (the script, which means to pass over it, breaks off).
        no_answer: how likely it is that there is none (the script's `--na-prob-file`).
        threshold: where `no_answer` is above, the prediction is "" whatever it says.

    Returns:
        In percent `exact_match`, `f1`, the same of the questions that have an answer (`HasAns_`)
        and of those that have none (`NoAns_`), with their numbers (`total`). With `no_answer` also
        what the best thresholds would give, `best_exact` and `best_f1`, and these thresholds,
        `best_exact_thresh` and `best_f1_thresh`.

    Raises:
        InputError: there are no questions.
    """
    _check(answers, predictions)
    answerable = np.array([bool(each) for each in answers])
    # An answer of articles and punctuation only is none, but its question stays answerable.
    right = [[answer for answer in each if normalize(answer)] or [""] for each in answers]
    raw = {"exact": _best(exact_match, right, predictions), "f1": _best(f1, right, predictions)}
    scores = raw
    if no_answer is not None:
        above = (np.asarray(no_answer) > threshold) & _given(predictions)
        scores = {name: np.where(above, ~answerable, score) for name, score in raw.items()}
    result = {}
    for prefix, chosen in {
        "": np.ones_like(answerable),
        "HasAns_": answerable,
        "NoAns_": ~answerable,
    }.items():
        if chosen.any():
            exact = f"{prefix}exact" if prefix else "exact_match"
            result[exact] = 100 * float(scores["exact"][chosen].mean())
            result[f"{prefix}f1"] = 100 * float(scores["f1"][chosen].mean())
            result[f"{prefix}total"] = int(chosen.sum())
    if no_answer is not None:
        for name, score in raw.items():
            best, at = best_threshold(score, predictions, no_answer, answerable)
            result |= {f"best_{name}": best, f"best_{name}_thresh": at}
    return result


def best_threshold(
    scores: Sequence[float],
    predictions: Sequence[str | None],
    no_answer: Sequence[float],
    answerable: Sequence[bool],
) -> tuple[float, float]:
    """The threshold above which "no answer" is best said (`find_best_thresh` of the script).

    Args:
        scores: exact match or F1 of each prediction, 0 to 1.
        predictions: what was answered, "" for nothing; None, where nobody was asked, scores 0.
        no_answer: how likely it is that there is no answer; not negative.
        answerable: whether there is one.

    Returns:
        The mean score in percent that it gives, and the threshold: one of `no_answer`, or 0 if it
        is best to answer nothing.
    """
    answered = np.array([bool(prediction) for prediction in predictions])
    # To answer one question more brings its score if it has an answer, and else costs a point.
    gains = np.where(answerable, scores, -answered.astype(float))
    order = np.argsort(no_answer, kind="stable")
    of_nothing = np.sum(~np.asarray(answerable) & _given(predictions))
    totals = np.cumsum([of_nothing, *gains[order]])
    best = int(np.argmax(totals))
    at = float(np.asarray(no_answer)[order[best - 1]]) if best else 0.0
    return 100 * float(totals[best]) / len(totals[1:]), at


def _best(metric: Callable, answers: Sequence, predictions: Sequence[str | None]) -> np.ndarray:
    """The metric of each prediction against the answer that fits it best; 0 where there is none."""
    pairs = zip(answers, predictions, strict=True)
    return np.array(
        [
            0.0 if predicted is None else max(metric(answer, predicted) for answer in right)
            for right, predicted in pairs
        ]
    )


def _given(predictions: Sequence[str | None]) -> np.ndarray:
    return np.array([prediction is not None for prediction in predictions])


def _check(answers: Sequence, predictions: Sequence) -> None:
    if not answers or len(answers) != len(predictions):
        raise InputError(
            f"expected one prediction for each question, found {len(predictions)} predictions and "
            f"{len(answers)} questions"
        )
