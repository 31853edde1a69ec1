"""Metrics of classification and regression, with the values of scikit-learn and SciPy."""

import math
from typing import Any

import numpy as np

from kerasbert.errors import InputError, shown


def single_label(targets: np.ndarray, predicted: np.ndarray, num_classes: int) -> dict[str, Any]:
    """Computes the metrics of examples with one class each.

    Args:
        targets: integers, (examples,), the indices of the right classes.
        predicted: integers, (examples,), the indices of the predicted classes.
        num_classes: integer, the number of classes.

    Returns:
        Dict of floats: `accuracy`, `macro_f1` (over the classes that occur in either), `matthews`
        (the correlation coefficient, which is GLUE's metric of CoLA) and, for two classes, `f1` of
        the second.

    Raises:
        InputError: there are no examples, the shapes are others, or an index is not one of a class.

    Examples:
        >>> from kerasbert.metrics import classification
        >>> scores = classification.single_label([0, 1, 1, 0], [0, 1, 0, 0], num_classes=2)
        >>> scores["accuracy"], round(scores["f1"], 3)
        (0.75, 0.667)
    """
    targets = _indices("targets", targets, num_classes)
    predicted = _indices("predicted", predicted, num_classes)
    _check_shapes(targets, predicted, {1: "(examples,)"})
    positions, size = targets * num_classes + predicted, num_classes**2
    table = np.bincount(positions, minlength=size).reshape(num_classes, num_classes).astype(float)
    right, num_expected, num_predicted = table.diagonal(), table.sum(1), table.sum(0)
    f1 = 2 * right / np.maximum(num_expected + num_predicted, 1)
    count = table.sum()
    spread = (count**2 - num_expected @ num_expected) * (count**2 - num_predicted @ num_predicted)
    scores = {
        "accuracy": right.sum() / count,
        "macro_f1": f1[num_expected + num_predicted > 0].mean(),
        "matthews": (right.sum() * count - num_expected @ num_predicted) / np.sqrt(spread)
        if spread
        else 0.0,
    }
    if num_classes == 2:
        scores["f1"] = f1[1]
    return _floats(scores)


def multi_label(targets: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Computes the metrics of examples with any number of classes each.

    Args:
        targets: 0 or 1, (examples, classes); a share of 0.5 or more counts as 1.
        predicted: 0 or 1, (examples, classes).

    Returns:
        Dict of floats: `micro_f1`, `macro_f1` and `exact_match`, the share of examples with all
        classes right. The F1 of a class that is neither right nor predicted in any example is 0.

    Raises:
        InputError: there are no examples or classes, or the shapes are others.

    Examples:
        >>> from kerasbert.metrics import classification
        >>> scores = classification.multi_label([[1, 1], [0, 1]], [[1, 0], [0, 1]])
        >>> scores["micro_f1"], scores["exact_match"]
        (0.8, 0.5)
    """
    targets, predicted = ((np.asarray(each) >= 0.5).astype(int) for each in (targets, predicted))
    _check_shapes(targets, predicted, {2: "(examples, classes)"})
    right = (targets * predicted).sum(0)
    right_and_wrong = targets.sum(0) + predicted.sum(0)
    return _floats(
        {
            "micro_f1": 2 * right.sum() / max(right_and_wrong.sum(), 1),
            "macro_f1": (2 * right / np.maximum(right_and_wrong, 1)).mean(),
            "exact_match": np.all(targets == predicted, axis=1).mean(),
        }
    )


def regression(targets: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    """Computes the metrics of numbers; correlations are averaged over several numbers per example.

    Args:
        targets: floats, (examples, numbers) or (examples,).
        values: floats of the same shape, the predictions.

    Returns:
        Dict of floats: `pearson` and `spearman`, which are NaN if targets or predictions are
        constant or one of them is NaN (`pearson` also if one is infinite), and `mse`.

    Raises:
        InputError: there are no examples, or the shapes are others.

    Examples:
        >>> from kerasbert.metrics import classification
        >>> scores = classification.regression([[1.0], [2.0], [3.0]], [[1.0], [2.0], [9.0]])
        >>> round(scores["spearman"], 3), scores["mse"]
        (1.0, 12.0)
    """
    targets, values = np.asarray(targets, float), np.asarray(values, float)
    _check_shapes(targets, values, {1: "(examples,)", 2: "(examples, numbers)"})
    if targets.ndim == 1:
        targets, values = targets[:, np.newaxis], values[:, np.newaxis]
    columns = list(zip(targets.T, values.T, strict=True))
    return _floats(
        {
            "pearson": np.mean([_correlation(x, y) for x, y in columns]),
            "spearman": np.mean([_correlation(_ranks(x), _ranks(y)) for x, y in columns]),
            "mse": np.square(targets - values).mean(),
        }
    )


def _indices(name: str, values: Any, num_classes: int) -> np.ndarray:
    """Returns class indices as integers; raises `InputError` for anything else."""
    values = np.asarray(values)
    if values.dtype.kind not in "biuf" or not np.all(values == np.floor(values)):
        raise InputError(
            f"{name} must be class indices, whole numbers, found {shown(values.tolist())}"
        )
    if values.size and not 0 <= values.min() <= values.max() < num_classes:
        raise InputError(
            f"{name} must be in [0, {num_classes}), found {values.min()} to {values.max()}"
        )
    return values.astype(int)


def _check_shapes(targets: np.ndarray, predicted: np.ndarray, accepted: dict[int, str]) -> None:
    """Raises `InputError` unless the shapes are the same, and one of those by number of axes."""
    if targets.shape != predicted.shape:
        raise InputError(
            f"predictions must have the shape of the targets, {targets.shape}, found "
            f"{predicted.shape}"
        )
    if not targets.size:
        raise InputError("there are no examples to score")
    if targets.ndim not in accepted:
        raise InputError(
            f"targets must have the shape {' or '.join(accepted.values())}, found {targets.shape}"
        )


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Returns Pearson's correlation; NaN if one of them is constant or not finite."""
    if not all(np.isfinite(each).all() and np.ptp(each) > 0 for each in (x, y)):
        return math.nan
    x, y = (each - each.mean() for each in (x, y))
    x, y = (each / np.linalg.norm(each) for each in (x, y))
    return float(np.clip(x @ y, -1, 1))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Returns the rank of each number; equal ones have the mean of their ranks. NaN has none."""
    if np.isnan(values).any():
        return np.full_like(values, math.nan)
    _, indices, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[indices]


def _floats(scores: dict) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items()}
