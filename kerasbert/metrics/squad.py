"""Exact match and F1 of extracted answers, as in the official scripts of SQuAD.

`evaluate_v1` computes the results of `evaluate-v1.1.py` (Rajpurkar et al. 2016, §6.1), and
`evaluate_v2` those of `evaluate-v2.0.py` (Rajpurkar et al. 2018). Both remove English articles
only, and split words at white space. The official metric of XQuAD is the script of SQuAD 1.1 for
all languages, including Chinese, where most answers are then a single word.
"""

import collections
import re
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasbert.errors import InputError

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(text: str) -> str:
    """Lower-cases and removes ASCII punctuation, English articles and extra spaces.

    Args:
        text: string.

    Examples:
        >>> from kerasbert.metrics import squad
        >>> squad.normalize("The  Eiffel Tower!")
        'eiffel tower'
    """
    words = _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION))
    return " ".join(words.split())


def exact_match(answer: str, prediction: str) -> float:
    """Returns 1 if both texts are equal after `normalize`, otherwise 0.

    Args:
        answer: string, the right answer.
        prediction: string, the predicted answer.

    Examples:
        >>> from kerasbert.metrics import squad
        >>> squad.exact_match("the Eiffel Tower", "Eiffel Tower.")
        1.0
    """
    return float(normalize(answer) == normalize(prediction))


def f1(answer: str, prediction: str, *, of_nothing: float = 1.0) -> float:
    """Returns the harmonic mean of precision and recall of the prediction's words, as multisets.

    Args:
        answer: string, the right answer.
        prediction: string, the predicted answer.
        of_nothing: float, the result if neither has a word after `normalize`: 1 in SQuAD 2.0, 0 in
            1.1.

    Examples:
        >>> from kerasbert.metrics import squad
        >>> round(squad.f1("Eiffel Tower", "the tower"), 3)
        0.667
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
    """Computes the results of `evaluate-v1.1.py`.

    Args:
        answers: list of the right answers of each question, at least one; the best match is used.
        predictions: list with the predicted answer of each question. None, for a missing
            prediction, scores 0.

    Returns:
        Dict of floats: `exact_match` and `f1`, in percent.

    Raises:
        InputError: there are no questions, one has no answer, answers and predictions differ in
            number, or the answers of a question are a string.

    Examples:
        >>> from kerasbert.metrics import squad
        >>> squad.evaluate_v1([["Oslo", "in Oslo"], ["1905"]], ["in Oslo", "June 1905"])
        {'exact_match': 50.0, 'f1': 83.3...}
    """
    _check(answers, predictions)
    if not all(answers):
        raise InputError("SQuAD 1.1's metric needs an answer for every question; use evaluate_v2")
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
    """Computes the results of `evaluate-v2.0.py`; its `exact` is called `exact_match`.

    Args:
        answers: list of the right answers of each question, empty if it is unanswerable.
        predictions: list with the predicted answer of each question; "" for no answer. None, for a
            missing prediction, scores 0 as in SQuAD 1.1 (the script intends to skip it, but fails).
        no_answer: list of the probabilities that there is no answer (the script's
            `--na-prob-file`).
        threshold: float, the value of `no_answer` above which the prediction is replaced by "".

    Returns:
        Dict of `exact_match` and `f1` in percent and `total`, the number of questions; the same for
        answerable (`HasAns_exact`, `HasAns_f1`, `HasAns_total`) and for unanswerable questions
        (`NoAns_exact`, `NoAns_f1`, `NoAns_total`), if there are any. With
        `no_answer`, also the results with the best thresholds, `best_exact` and `best_f1`, and
        these thresholds, `best_exact_thresh` and `best_f1_thresh`.

    Raises:
        InputError: there are no questions, answers, predictions and `no_answer` differ in number,
            or the answers of a question are a string.

    Examples:
        The second question has no answer:

        >>> from kerasbert.metrics import squad
        >>> scores = squad.evaluate_v2([["Oslo"], []], ["Oslo", "Bergen"])
        >>> scores["exact_match"], scores["HasAns_f1"], scores["NoAns_f1"]
        (50.0, 100.0, 0.0)
        >>> scores = squad.evaluate_v2([["Oslo"], []], ["Oslo", "Bergen"], [0.1, 0.9])
        >>> scores["best_f1"], scores["best_f1_thresh"]
        (100.0, 0.1)
    """
    _check(answers, predictions)
    if no_answer is not None:
        _check_number("no_answer", no_answer, len(answers))
    answerable = np.array([bool(each) for each in answers])
    # An answer of only articles and punctuation is empty, but its question stays answerable.
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
    scores: Sequence[float] | np.ndarray,
    predictions: Sequence[str | None],
    no_answer: Sequence[float] | np.ndarray,
    answerable: Sequence[bool] | np.ndarray,
) -> tuple[float, float]:
    """Finds the best threshold for predicting no answer (`find_best_thresh` of the script).

    Args:
        scores: floats from 0 to 1, exact match or F1 of each prediction.
        predictions: list of the predicted answers, "" for none. None, for a missing prediction,
            scores 0.
        no_answer: non-negative floats, the probabilities that there is no answer.
        answerable: bools, whether there is an answer.

    Returns:
        The mean score in percent with the best threshold, and the threshold: one of `no_answer`, or
        0 if it is best to answer no question.

    Raises:
        InputError: there are no questions, or the arguments differ in length.

    Examples:
        >>> from kerasbert.metrics import squad
        >>> squad.best_threshold([1.0, 0.0], ["Oslo", "Bergen"], [0.1, 0.9], [True, False])
        (100.0, 0.1)
    """
    if len(predictions) == 0:
        raise InputError("there are no questions to score")
    for name, values in {
        "scores": scores,
        "no_answer": no_answer,
        "answerable": answerable,
    }.items():
        _check_number(name, values, len(predictions))
    answered = np.array([bool(prediction) for prediction in predictions])
    # Answering one more question adds its score if it is answerable, and subtracts a point
    # otherwise.
    gains = np.where(answerable, scores, -answered.astype(float))
    order = np.argsort(no_answer, kind="stable")
    of_nothing = np.sum(~np.asarray(answerable) & _given(predictions))
    totals = np.cumsum([of_nothing, *gains[order]])
    best = int(np.argmax(totals))
    at = float(np.asarray(no_answer)[order[best - 1]]) if best else 0.0
    return 100 * float(totals[best]) / len(totals[1:]), at


def _best(metric: Callable, answers: Sequence, predictions: Sequence[str | None]) -> np.ndarray:
    """Returns the metric of each prediction for the best answer; 0 for missing predictions."""
    pairs = zip(answers, predictions, strict=True)
    return np.array(
        [
            0.0 if predicted is None else max(metric(answer, predicted) for answer in right)
            for right, predicted in pairs
        ]
    )


def _given(predictions: Sequence[str | None]) -> np.ndarray:
    return np.array([prediction is not None for prediction in predictions])


def _check_number(name: str, values: Any, count: int) -> None:
    if np.shape(values) != (count,):
        raise InputError(
            f"{name} must have one value for each of the {count} questions, found the shape "
            f"{np.shape(values)}"
        )


def _check(answers: Sequence, predictions: Sequence) -> None:
    if not answers or len(answers) != len(predictions):
        raise InputError(
            f"expected one prediction for each question, found {len(predictions)} predictions and "
            f"{len(answers)} questions"
        )
    if any(isinstance(right, str) for right in answers):  # which is a sequence of characters
        raise InputError("answers must be a list of strings for each question, found a string")
