"""Precision, recall and F1 of named entities in tags such as `B-person`, computed by seqeval."""

import re
from collections.abc import Sequence

from kerasbert import lazy
from kerasbert.errors import InputError

# The tags of BILOU that IOBES calls E and S.
_AS_IOBES = {"L": "E", "U": "S"}

_EXTRA = "'kerasbert[metrics]'"  # with what seqeval requires, 150 MB
_AVERAGES = ("micro avg", "macro avg", "weighted avg")


def are_entity_tags(classes: Sequence[str]) -> bool:
    """Returns whether class names are tags of entities: `O`, and a letter with a type (`B-person`).

    The letters are those of IOB, IOBES and BILOU.

    Args:
        classes: class names.

    Examples:
        >>> from kerasbert.metrics import entities
        >>> entities.are_entity_tags(["O", "B-PER", "I-PER"])
        True
        >>> entities.are_entity_tags(["NOUN", "VERB"])
        False
    """
    tags = [name for name in classes if name != "O"]
    return bool(tags) and all(re.fullmatch("[BIESLU](-.+)?", name) for name in tags)


def accuracy(true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Returns the share of words with the right label.

    Args:
        true: list of lists of strings, the labels of every sentence.
        predicted: list of lists of strings, the predictions.

    Raises:
        InputError: there are no words, or labels and predictions differ in number.

    Examples:
        >>> from kerasbert.metrics import entities
        >>> entities.accuracy([["B-PER", "O"], ["O", "O"]], [["B-PER", "O"], ["O", "B-PER"]])
        0.75
    """
    if len(true) != len(predicted):
        raise InputError(f"there are {len(true)} sentences, but predictions for {len(predicted)}")
    words = []
    for number, (labels, guesses) in enumerate(zip(true, predicted, strict=True)):
        if len(labels) != len(guesses):
            raise InputError(
                f"sentence {number} has {len(labels)} words, but {len(guesses)} in the predictions"
            )
        words += zip(labels, guesses, strict=True)
    if not words:
        raise InputError("there are no words to score")
    return sum(one == other for one, other in words) / len(words)


def entity_scores(
    true: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], *, strict: bool = False
) -> dict[str, float]:
    """Computes scores of whole entities: one is right if its type and both its ends are.

    Args:
        true: list of lists of strings, the tags of every sentence in IOB1, IOB2, IOBES or BILOU.
        predicted: list of lists of strings, the predictions.
        strict: whether to ignore tags that violate IOB2 (or IOBES, if it is used), such as
            `I-person` after `O`. If False, these start an entity, as in CoNLL's `conlleval`.

    Returns:
        Dict of floats: `precision`, `recall` and `f1` over all entities (0 instead of 0/0),
        `accuracy` over words, and `f1/person` for every type that occurs, sorted.

    Raises:
        InputError: there are no words, labels and predictions differ in number, or seqeval is not
            installed.

    Examples:
        Needs `pip install 'kerasbert[metrics]'`.

        >>> from kerasbert.metrics import entities
        >>> true = [["B-PER", "I-PER", "O", "B-LOC"]]
        >>> predicted = [["B-PER", "O", "O", "B-LOC"]]
        >>> scores = entities.entity_scores(true, predicted)
        >>> scores["f1"], scores["f1/LOC"], scores["accuracy"]
        (0.5, 1.0, 0.75)
    """
    seqeval, scheme = (lazy.extra(f"seqeval.{name}", _EXTRA) for name in ("metrics", "scheme"))
    right = accuracy(true, predicted)
    true, predicted = ([list(map(_iobes, tags)) for tags in each] for each in (true, predicted))
    letters = {tag[0] for each in (true, predicted) for tags in each for tag in tags}
    scores = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "accuracy": right}
    if letters == {"O"}:
        return scores
    report = seqeval.classification_report(
        true,
        predicted,
        mode="strict" if strict else None,
        scheme=scheme.IOBES if letters & {"E", "S"} else scheme.IOB2,
        output_dict=True,
        zero_division=0,
    )
    for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
        scores[name] = float(report["micro avg"][key])
    types = {name: row for name, row in report.items() if name not in _AVERAGES}
    return scores | {f"f1/{name}": float(row["f1-score"]) for name, row in sorted(types.items())}


def _iobes(tag: str) -> str:
    return _AS_IOBES.get(tag[0], tag[0]) + tag[1:]
