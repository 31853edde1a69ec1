"""Against the definitions, written out, and against scikit-learn and SciPy on the same numbers."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from kerasbert import InputError
from kerasbert.metrics import classification


@pytest.fixture(params=range(5))
def chance(request):
    return np.random.default_rng(request.param)


def counts(targets, predicted, positive):
    hits = np.sum((targets == positive) & (predicted == positive))
    return hits, np.sum(predicted == positive), np.sum(targets == positive)


def f1(hits, predicted, right):
    return 2 * hits / (predicted + right) if predicted + right else 0.0


def test_two_classes(chance):
    targets, predicted = chance.integers(0, 2, (2, 50))
    found = classification.single_label(targets, predicted, 2)
    table = np.zeros((2, 2))
    np.add.at(table, (targets, predicted), 1)
    (tn, fp), (fn, tp) = table
    matthews = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert found == pytest.approx(
        {
            "accuracy": (tp + tn) / 50,
            "f1": f1(*counts(targets, predicted, 1)),
            "macro_f1": np.mean([f1(*counts(targets, predicted, i)) for i in (0, 1)]),
            "matthews": matthews,
        }
    )


def test_more_classes(chance):
    targets, predicted = chance.integers(0, 4, (2, 80))
    found = classification.single_label(targets, predicted, 4)
    assert found.keys() == {"accuracy", "macro_f1", "matthews"}
    assert found["accuracy"] == pytest.approx(np.mean(targets == predicted))
    assert found["macro_f1"] == pytest.approx(
        np.mean([f1(*counts(targets, predicted, i)) for i in range(4)])
    )
    assert found["matthews"] == pytest.approx(metrics.matthews_corrcoef(targets, predicted))


def test_one_class_never_predicted():
    found = classification.single_label(np.array([1, 0, 1]), np.array([0, 0, 0]), 2)
    assert found == pytest.approx({"accuracy": 1 / 3, "f1": 0, "macro_f1": 0.25, "matthews": 0})


def test_several_labels(chance):
    targets, predicted = chance.integers(0, 2, (2, 40, 3))
    found = classification.multi_label(targets, predicted)
    each = [counts(targets[:, i], predicted[:, i], 1) for i in range(3)]
    assert found == pytest.approx(
        {
            "micro_f1": f1(*np.sum(each, axis=0)),
            "macro_f1": np.mean([f1(*one) for one in each]),
            "exact_match": np.mean((targets == predicted).all(axis=1)),
        }
    )
    for average in ("micro", "macro"):
        f1_score = metrics.f1_score(targets, predicted, average=average)
        assert found[f"{average}_f1"] == pytest.approx(f1_score)


def test_labels_that_never_occur_have_an_f1_of_0():
    targets, predicted = np.zeros((2, 4, 3), int)
    targets[0, 0] = predicted[0, 0] = 1
    found = classification.multi_label(targets, predicted)
    assert found == pytest.approx({"micro_f1": 1, "macro_f1": 1 / 3, "exact_match": 1})
    found = classification.multi_label(0 * targets, 0 * predicted)
    assert found == {"micro_f1": 0, "macro_f1": 0, "exact_match": 1}


def test_numbers(chance):
    targets = chance.normal(size=(60, 1)).round(1)  # with ties
    values = targets + chance.normal(size=(60, 1))
    found = classification.regression(targets, values)
    ranks = [stats.rankdata(column[:, 0]) for column in (targets, values)]
    assert found == pytest.approx(
        {
            "pearson": np.corrcoef(targets[:, 0], values[:, 0])[0, 1],
            "spearman": np.corrcoef(*ranks)[0, 1],
            "mse": np.mean((targets - values) ** 2),
        }
    )
    assert found["pearson"] == pytest.approx(
        stats.pearsonr(targets, values).statistic[0], rel=1e-12
    )
    assert found["spearman"] == pytest.approx(stats.spearmanr(targets, values).statistic, rel=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_has_no_correlation(value):
    targets, values = [[1.0], [2.0], [0.0]], [[1.0], [value], [2.0]]
    found = classification.regression(targets, values)
    assert math.isnan(found["pearson"])
    expected = stats.spearmanr(targets, values).statistic  # infinity has a rank, NaN has none
    assert found["spearman"] == pytest.approx(expected, nan_ok=True)
    assert math.isnan(found["spearman"]) == math.isnan(value)


def test_correlations_are_at_most_1():
    values = np.array([[0.1], [0.2], [0.7]])
    for sign in (1, -1):
        found = classification.regression(values, sign * 3 * values)
        assert found["pearson"] == pytest.approx(sign, abs=0, rel=0) or abs(found["pearson"]) <= 1
        assert found["spearman"] == pytest.approx(sign)


def test_several_numbers_are_averaged(chance):
    targets, values = chance.normal(size=(2, 30, 2))
    each = [classification.regression(targets[:, [i]], values[:, [i]]) for i in range(2)]
    mean = {name: np.mean([one[name] for one in each]) for name in each[0]}
    assert classification.regression(targets, values) == pytest.approx(mean)


def test_what_never_changes_has_no_correlation():
    found = classification.regression(np.array([[1.0], [2.0]]), np.array([[3.0], [3.0]]))
    assert math.isnan(found["pearson"])
    assert math.isnan(found["spearman"])
    assert found["mse"] == 2.5


def test_wrong_shapes_and_indices():
    for wrong in ([3], [-1]):
        with pytest.raises(InputError, match=r"predicted must be in \[0, 2\)"):
            classification.single_label([0], wrong, 2)
    with pytest.raises(InputError, match=r"predictions must have the shape .*\(3,\), found \(1,\)"):
        classification.single_label([0, 1, 1], [1], 2)
    with pytest.raises(InputError, match=r"\(1, 2\), found \(2, 2\)"):
        classification.multi_label([[1, 0]], [[1, 0], [0, 1]])
    with pytest.raises(InputError, match=r"\(2,\), found \(2, 1\)"):
        classification.regression([1, 2], [[1], [2]])


def test_one_number_for_each_example():
    flat = classification.regression([1.0, 2.0, 3.0], [1.0, 2.0, 9.0])
    assert flat == classification.regression([[1.0], [2.0], [3.0]], [[1.0], [2.0], [9.0]])
    assert flat["spearman"] == pytest.approx(1)


def test_shares_of_annotators():
    """0.9 is nearer to 1 than to 0."""
    exact = classification.multi_label([[1, 0]], [[1, 0]])
    assert classification.multi_label([[0.9, 0.1]], [[1, 0]]) == exact


@pytest.mark.parametrize("value", [0.5, math.nan, math.inf, 1e300, "a", None])
def test_what_is_no_class_index(value):
    whole = value in (math.inf, 1e300)
    expected = r"must be in \[0, 2\), found 0" if whole else "must be class indices, whole numbers"
    for arguments in (([0, value], [0, 1]), ([0, 1], [0, value])):
        with pytest.raises(InputError, match=expected):
            classification.single_label(*arguments, 2)


def test_class_indices_of_other_types():
    exact = classification.single_label([0, 1, 1], [0, 1, 0], 2)
    assert classification.single_label([0.0, 1.0, 1.0], [False, True, False], 2) == exact


@pytest.mark.parametrize("empty", [[], np.zeros(0, int), np.zeros((0, 2)), np.zeros((2, 0))])
def test_nothing_to_score(empty):
    for score in (classification.multi_label, classification.regression):
        with pytest.raises(InputError, match="there are no examples to score"):
            score(empty, empty)
    with pytest.raises(InputError, match="there are no examples to score"):
        classification.single_label([], [], 2)


def test_other_shapes():
    with pytest.raises(InputError, match=r"must have the shape \(examples,\), found \(1, 2\)"):
        classification.single_label([[0, 1]], [[0, 1]], 2)
    with pytest.raises(InputError, match=r"must have the shape \(examples, classes\), found"):
        classification.multi_label([0, 1], [0, 1])
    with pytest.raises(InputError, match=r"must have the shape \(examples,\) or \(exam"):
        classification.regression([[[0.0]]], [[[0.0]]])
