"""The metrics of classifiers, as scikit-learn and SciPy define them, over all examples at once."""

import math

import numpy as np


def single_label(targets: np.ndarray, predicted: np.ndarray, num_classes: int) -> dict:
    """Metrics where every example has one class.

    Args:
        targets: int (examples,), indices of the right classes.
        predicted: int (examples,).
        num_classes: how many there are.

    Returns:
        `accuracy`, `macro_f1` (over the classes that occur in either), `matthews` (the correlation
        that GLUE asks of CoLA) and, of two classes, `f1` of the second.
    """
    # scikit-learn's functions give the same, but take several times as long as a small model.
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
    """Metrics where every example has any number of classes.

    Args:
        targets: 0 or 1, (examples, classes).
        predicted: 0 or 1, (examples, classes).

    Returns:
        `micro_f1`, `macro_f1` and `exact_match`, the share of examples with all classes right. A
        class that is neither there nor predicted has an F1 of 0.
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
    """Metrics of numbers; of several an example, their means.

    Args:
        targets: float (examples, numbers).
        values: float (examples, numbers), what was predicted.

    Returns:
        `pearson` and `spearman` (NaN where either side never changes, which has no correlation)
        and `mse`.
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
