"""Metrics of classification and regression, as defined by scikit-learn and SciPy."""

import math

import numpy as np


def single_label(targets: np.ndarray, predicted: np.ndarray, num_classes: int) -> dict:
    """Computes the metrics of examples with one class each.

    Args:
        targets: integers, (examples,), the indices of the right classes.
        predicted: integers, (examples,), the indices of the predicted classes.
        num_classes: integer, the number of classes.

    Returns:
        Dict of floats: `accuracy`, `macro_f1` (over the classes that occur in either), `matthews`
        (the correlation coefficient, which is GLUE's metric of CoLA) and, for two classes, `f1` of
        the second.
    """
    # scikit-learn's functions return the same, but take several times as long as a small model.
    targets, predicted = np.asarray(targets, int), np.asarray(predicted, int)
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


def multi_label(targets: np.ndarray, predicted: np.ndarray) -> dict:
    """Computes the metrics of examples with any number of classes each.

    Args:
        targets: 0 or 1, (examples, classes).
        predicted: 0 or 1, (examples, classes).

    Returns:
        Dict of floats: `micro_f1`, `macro_f1` and `exact_match`, the share of examples with all
        classes right. The F1 of a class that is neither right nor predicted in any example is 0.
    """
    from sklearn import metrics

    targets, predicted = np.asarray(targets, int), np.asarray(predicted, int)
    return _floats(
        {
            "micro_f1": metrics.f1_score(targets, predicted, average="micro", zero_division=0),
            "macro_f1": metrics.f1_score(targets, predicted, average="macro", zero_division=0),
            "exact_match": np.all(targets == predicted, axis=1).mean(),
        }
    )


def regression(targets: np.ndarray, values: np.ndarray) -> dict:
    """Computes the metrics of numbers; correlations are averaged over several numbers per example.

    Args:
        targets: floats, (examples, numbers).
        values: floats, (examples, numbers), the predictions.

    Returns:
        Dict of floats: `pearson` and `spearman`, which are NaN if targets or predictions are
        constant, and `mse`.
    """
    from scipy import stats

    def correlation(measure) -> float:
        columns = zip(np.transpose(targets), np.transpose(values), strict=True)
        return np.mean(
            [
                math.nan if np.ptp(x) == 0 or np.ptp(y) == 0 else measure(x, y).statistic
                for x, y in columns
            ]
        )

    targets, values = np.asarray(targets, float), np.asarray(values, float)
    return _floats(
        {
            "pearson": correlation(stats.pearsonr),
            "spearman": correlation(stats.spearmanr),
            "mse": np.square(targets - values).mean(),
        }
    )


def _floats(scores: dict) -> dict[str, float]:
    return {name: float(value) for name, value in scores.items()}
