"""Problem types: losses by hand, metrics by scikit-learn and SciPy, exports."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from sklearn import metrics

from kerasbert import InputError, TextClassifier, load
from kerasbert.serving.client import SavedModelClient
from kerasbert.tasks.text_classifier.in_graph import TARGETS
from kerasbert.tasks.text_classifier.problem_types import PROBLEM_TYPES, label_accuracy
from kerasbert.training.optimizers import adamw

TEXTS = [
    "a good red cat",
    "the bad dog",
    "they like a good big book",
    "red",
    "nice river",
    "a bad red house",
]
SINGLE, MULTI, REGRESSION = PROBLEMS = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)
CLASSES = {SINGLE: ["bad", "good"], MULTI: ["good", "bad", "red"], REGRESSION: None}
NAMES = ["good", "bad", "good", "bad", "good", "bad"]
INDICES = np.array([1, 0, 1, 0, 1, 0])
SETS = [["good", "red"], ["bad"], ["good"], ["red"], [], ["red", "bad"]]
MATRIX = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 1]])
NUMBERS = [2.5, -1.0, 2.0, 0.5, 1.0, -0.5]
LABELS = {SINGLE: NAMES, MULTI: SETS, REGRESSION: NUMBERS}


# Eager if only one step is taken, because tracing takes longer.
@pytest.fixture
def make(tiny_backbone, tokenizer):
    def make(problem_type, classes=(), **options):
        backbone = tiny_backbone(tokenizer)
        keras.utils.set_random_seed(0)
        return TextClassifier(
            backbone,
            CLASSES[problem_type] if classes == () else classes,
            problem_type=problem_type,
            tokenizer=tokenizer,
            **options,
        )

    return make


def logits_of(task, texts=TEXTS):
    return task.predict(texts, verbose=0)


def cross_entropy(logits, smoothing=0.0):
    wanted = np.eye(2)[INDICES] * (1 - smoothing) + smoothing / 2
    return -(wanted * special.log_softmax(logits, axis=-1)).sum(-1)


def binary_cross_entropy(logits, smoothing=0.0):
    wanted = MATRIX * (1 - smoothing) + smoothing / 2
    return -(wanted * special.log_expit(logits) + (1 - wanted) * special.log_expit(-logits)).mean(
        -1
    )


def squared_error(logits):
    return (logits[:, 0] - NUMBERS) ** 2


LOSSES = {SINGLE: cross_entropy, MULTI: binary_cross_entropy, REGRESSION: squared_error}


# === Losses ===


@pytest.mark.parametrize("problem_type", PROBLEMS)
def test_loss_matches_its_definition(make, problem_type):
    task = make(problem_type)
    task.compile(run_eagerly=True)
    losses = LOSSES[problem_type](logits_of(task))
    weights = np.arange(6, dtype="float32")
    found = task.evaluate(TEXTS, LABELS[problem_type], verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    found = task.evaluate(
        TEXTS, LABELS[problem_type], sample_weight=weights, verbose=0, return_dict=True
    )
    assert found["loss"] == pytest.approx((losses * weights).mean(), rel=1e-4)


@pytest.mark.parametrize(("problem_type", "loss"), list(LOSSES.items())[:2])
def test_label_smoothing(make, problem_type, loss, tmp_path):
    task, y = make(problem_type), LABELS[problem_type]
    task.compile(label_smoothing=0.2, run_eagerly=True)
    expected = loss(logits_of(task), 0.2).mean()
    assert task.evaluate(TEXTS, y, verbose=0)[0] == pytest.approx(expected, rel=1e-4)
    task.fit(TEXTS, y, verbose=0)
    task.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate(TEXTS, y, verbose=0) == pytest.approx(task.evaluate(TEXTS, y, verbose=0))


def test_label_smoothing_is_refused(make):
    with pytest.raises(InputError, match="a regression has none"):
        make(REGRESSION).compile(label_smoothing=0.1)
    for value in (5, -0.1, float("nan")):
        with pytest.raises(InputError, match="label_smoothing must be 0 or more and less than 1"):
            make(SINGLE).compile(label_smoothing=value)
    with pytest.raises(InputError, match="leave loss out"):
        make(SINGLE).compile(loss="mse", label_smoothing=0.1)


def test_setting_the_threshold(make):
    task = make(MULTI)
    scores = special.expit(logits_of(task))
    for threshold in (0.1, 0.5, 0.9):
        task.threshold = threshold
        names = np.array(task.classes)
        expected = [list(names[row >= threshold]) for row in scores]
        assert [found["predicted"] for found in task.classify(TEXTS)] == expected
        assert task.head_config()["threshold"] == task.problem.threshold == threshold
    with pytest.raises(InputError, match="threshold must be between 0 and 1, found 1"):
        task.threshold = 1


def test_accuracy_follows_the_threshold(make):
    task = make(MULTI)
    task.compile()
    scores = special.expit(logits_of(task))
    for threshold in (0.3, 0.6):
        task.threshold = threshold
        found = task.evaluate(TEXTS, SETS, verbose=0, return_dict=True)
        assert found["accuracy"] == pytest.approx(np.mean((scores >= threshold) == MATRIX))


# === Labels of lists and of datasets ===

TRUTH = ["True", "False"]
NAMED = {SINGLE: CLASSES[SINGLE], MULTI: CLASSES[MULTI], REGRESSION: ["value"]}


@pytest.mark.parametrize(
    ("problem_type", "classes", "y"),
    [
        (SINGLE, None, ["good", "bad"]),
        (SINGLE, None, [["good"], ["bad"]]),
        (SINGLE, None, [1, 0]),
        (SINGLE, None, [[1], [0]]),
        (SINGLE, None, [1.0, 0.0]),
        (SINGLE, None, [True, False]),
        (SINGLE, TRUTH, [True, False]),
        (SINGLE, TRUTH[::-1], [True, False]),
        (SINGLE, ["1", "0"], [True, False]),
        (SINGLE, ["3", "1"], [1, 3]),
        (SINGLE, ["3", "1"], ["1", "3"]),
        (SINGLE, None, [[0.25, 0.75], [1.0, 0.0]]),
        (SINGLE, None, [[False, True], [True, False]]),
        (MULTI, None, [["red"], ["bad", "good"], []]),
        (MULTI, None, [[0, 1, 1], [1, 0, 0]]),
        (MULTI, None, [[0.5, 1.0, 0.0]]),
        (MULTI, None, [[True, False, True]]),
        (REGRESSION, None, [0.5, 2.0]),
        (REGRESSION, None, [[1], [2]]),
        (REGRESSION, ["x", "y"], [[1.0, 2.0], [3.0, 4.0]]),
    ],
)
def test_a_dataset_has_the_labels_of_a_list(problem_type, classes, y):
    problem = PROBLEM_TYPES[problem_type](classes or NAMED[problem_type], 0.5)
    expected = problem.labels(y)
    found = TARGETS[problem.outputs_are](problem, column(y))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize(
    ("problem_type", "classes", "y"),
    [
        (SINGLE, None, ["good", "fair"]),
        (SINGLE, None, [0, 2]),
        (SINGLE, None, [0.0, 0.5]),
        (SINGLE, ["a", "b", "c"], [True, False]),
        (SINGLE, None, [["good", "bad"], ["bad", "good"]]),
        (SINGLE, None, [[math.nan, 1.0], [1.0, 0.0]]),
        (MULTI, None, [["good"], ["grey"]]),
        (MULTI, None, [[0, 2, 0]]),
        (REGRESSION, None, [1.0, math.nan]),
        (REGRESSION, ["x", "y"], [[1.0], [1.0, 2.0]]),
    ],
)
def test_a_dataset_lacks_the_labels_that_a_list_lacks(problem_type, classes, y):
    problem = PROBLEM_TYPES[problem_type](classes or NAMED[problem_type], 0.5)
    with pytest.raises(InputError):
        problem.labels(y)
    with pytest.raises((InputError, tf.errors.InvalidArgumentError)):
        TARGETS[problem.outputs_are](problem, column(y))


def column(y):
    lengths = {len(own) for own in y if isinstance(own, list)}
    return tf.ragged.constant(y) if len(lengths) > 1 else tf.constant(y)


def test_metrics_while_training(make):
    task = make(MULTI, threshold=0.3)
    task.compile(run_eagerly=True)
    scores = special.expit(logits_of(task))
    found = task.evaluate(TEXTS, SETS, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(np.mean((scores >= 0.3) == MATRIX))
    task = make(REGRESSION)
    task.compile(run_eagerly=True)
    found = task.evaluate(TEXTS, NUMBERS, verbose=0, return_dict=True)
    assert found["mae"] == pytest.approx(np.abs(logits_of(task)[:, 0] - NUMBERS).mean(), rel=1e-4)


# === Forms of labels ===

FORMS = {
    SINGLE: {"names": NAMES, "indices": INDICES, "tensor": tf.constant(NAMES)},
    MULTI: {"names": SETS, "matrix": MATRIX, "lists": MATRIX.tolist(), "ragged": "ragged"},
    REGRESSION: {"list": NUMBERS, "column": np.array(NUMBERS)[:, None], "ints": [1, 2, 3, 4, 5, 6]},
}


@pytest.mark.parametrize(
    ("problem_type", "form"), [(name, form) for name in FORMS for form in FORMS[name]]
)
def test_forms_of_labels(make, problem_type, form):
    task = make(problem_type)
    task.compile(run_eagerly=True)
    y = FORMS[problem_type][form]
    y = tf.ragged.constant(SETS) if form == "ragged" else y
    wanted = LABELS[problem_type] if form != "ints" else np.array(y, float)
    assert task.evaluate(TEXTS, y, verbose=0) == pytest.approx(
        task.evaluate(TEXTS, wanted, verbose=0)
    )
    assert task.score(TEXTS, y) == pytest.approx(task.score(TEXTS, wanted), nan_ok=True)
    dataset = tf.data.Dataset.from_tensor_slices(
        (TEXTS, y if form == "ragged" or not isinstance(y[0], list) else tf.ragged.constant(y))
    ).batch(4)
    assert task.evaluate(dataset, verbose=0) == pytest.approx(
        task.evaluate(TEXTS, wanted, batch_size=4, verbose=0)
    )


def test_labels_with_ready_features(make):
    for problem_type, y in (
        (SINGLE, INDICES),
        (MULTI, MATRIX),
        (REGRESSION, np.array(NUMBERS)[:, None]),
    ):
        task = make(problem_type)
        task.compile(run_eagerly=True)
        features = {k: v.numpy() for k, v in task.preprocessor.features(TEXTS).items()}
        assert task.evaluate(features, y, verbose=0) == pytest.approx(
            task.evaluate(TEXTS, LABELS[problem_type], verbose=0)
        )


def test_no_labels_at_all(make):
    task = make(MULTI)
    task.compile(run_eagerly=True)
    zeros = task.evaluate(TEXTS, np.zeros((6, 3)), verbose=0)
    assert task.evaluate(TEXTS, [[]] * 6, verbose=0) == pytest.approx(zeros)


def test_wrong_number_of_zeros_and_ones(make):
    task = make(MULTI)
    task.compile(run_eagerly=True)
    with pytest.raises(InputError, match="0 and 1 for each of the 3 classes"):
        task.fit(TEXTS, [[0, 1]] * 6, verbose=0)


def test_unknown_label_fails(make):
    task = make(MULTI)
    task.compile(run_eagerly=True)
    with pytest.raises(InputError, match=r"a label of y\[1\] is 'grey', which is none of the cl"):
        task.fit(TEXTS, [["good"], ["grey"], [], [], [], []], verbose=0)


# === Class weights ===


def test_class_weight_by_name_is_the_weighted_loss(make):
    task = make(SINGLE)
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    losses = cross_entropy(logits_of(task))
    expected = (losses * np.where(INDICES == 1, 3.0, 1.0)).mean()
    for class_weight in ({"good": 3.0}, {1: 3.0}, {"bad": 1, "good": 3}):
        history = task.fit(TEXTS, NAMES, class_weight=class_weight, verbose=0).history
        assert history["loss"][0] == pytest.approx(expected, rel=1e-4)
    features = {k: v.numpy() for k, v in task.preprocessor.features(TEXTS).items()}
    history = task.fit(features, INDICES, class_weight={"good": 3.0}, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4)


def test_class_weights_of_training_batches(make):
    task = make(SINGLE)
    weights = task.class_weights(NAMES, {"good": 3.0})
    np.testing.assert_array_equal(weights, [3, 1, 3, 1, 3, 1])
    np.testing.assert_array_equal(task.class_weights(INDICES, {0: 0.5}), [1, 0.5] * 3)
    _, y, w = next(iter(task.preprocessor.training_batches(TEXTS, NAMES, weights, batch_size=6)))
    np.testing.assert_array_equal(w, np.where(y.numpy() == 1, 3, 1))


def test_bad_class_weights(make):
    with pytest.raises(InputError, match="is 'fair', which is none of the classes bad, good"):
        make(SINGLE).class_weights(NAMES, {"fair": 2.0})
    with pytest.raises(InputError, match="one class each"):
        make(MULTI).fit(TEXTS, SETS, class_weight={"good": 2.0})


# === Metrics ===


def test_score_of_two_classes(make):
    task = make(SINGLE)
    predicted = logits_of(task).argmax(-1)
    assert task.score(TEXTS, NAMES, batch_size=4) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(INDICES, predicted),
            "f1": metrics.f1_score(INDICES, predicted),
            "macro_f1": metrics.f1_score(INDICES, predicted, average="macro"),
            "matthews": metrics.matthews_corrcoef(INDICES, predicted),
        }
    )


def test_score_of_several_labels(make):
    task = make(MULTI, threshold=0.4)
    predicted = special.expit(logits_of(task)) >= 0.4
    found = task.score(TEXTS, SETS, batch_size=4)
    with_zero = {"zero_division": 0}
    assert found == pytest.approx(
        {
            "micro_f1": metrics.f1_score(MATRIX, predicted, average="micro", **with_zero),
            "macro_f1": metrics.f1_score(MATRIX, predicted, average="macro", **with_zero),
            "exact_match": metrics.accuracy_score(MATRIX, predicted),
        }
    )


def test_score_of_numbers(make):
    task = make(REGRESSION)
    values = logits_of(task)[:, 0]
    assert task.score(TEXTS, NUMBERS, batch_size=4) == pytest.approx(
        {
            "pearson": stats.pearsonr(values, NUMBERS).statistic,
            "spearman": stats.spearmanr(values, NUMBERS).statistic,
            "mse": metrics.mean_squared_error(NUMBERS, values),
        },
        rel=1e-4,
    )


# === Learning and answering ===


@pytest.mark.parametrize(
    ("problem_type", "metric"), [(SINGLE, "f1"), (MULTI, "exact_match"), (REGRESSION, "pearson")]
)
def test_learns(make, problem_type, metric):
    task = make(problem_type)
    task.compile(adamw(1e-2))
    task.fit(TEXTS * 8, LABELS[problem_type] * 8, batch_size=16, epochs=25, verbose=0)
    assert task.score(TEXTS, LABELS[problem_type])[metric] > 0.98


def test_classify(make):
    single, multi = make(SINGLE), make(MULTI, threshold=0.45)
    scores = special.softmax(logits_of(single), axis=-1)
    for row, answer in zip(scores, single.classify(TEXTS), strict=True):
        assert answer["label"] == ["bad", "good"][row.argmax()]
        assert answer["scores"] == pytest.approx({"bad": row[0], "good": row[1]}, abs=1e-5)
    scores = special.expit(logits_of(multi))
    for row, answer in zip(scores, multi.classify(TEXTS, batch_size=4), strict=True):
        assert answer["predicted"] == [
            n for n, s in zip(multi.classes, row, strict=True) if s >= 0.45
        ]
        assert list(answer["scores"].values()) == pytest.approx(row, abs=1e-5)
    one, two = make(REGRESSION), make(REGRESSION, ["x", "y"])
    assert [a["value"] for a in one.classify(TEXTS)] == pytest.approx(logits_of(one)[:, 0])
    assert [[*a["values"].values()] for a in two.classify(TEXTS)] == pytest.approx(logits_of(two))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"problem_type": "ranking"}, "problem_type must be one of single_label"),
        ({"problem_type": MULTI, "classes": ["a"]}, "2 or more different names"),
        ({"problem_type": REGRESSION, "classes": ["a", "a"]}, "1 or more different names"),
        ({"problem_type": MULTI, "classes": 3, "threshold": 1.0}, "threshold must be between"),
    ],
)
def test_bad_options(tiny_backbone, tokenizer, options, message):
    with pytest.raises(InputError, match=message):
        TextClassifier(tiny_backbone(tokenizer), tokenizer=tokenizer, **options)


# === Directories, exports ===


@pytest.mark.parametrize("problem_type", PROBLEMS)
@pytest.mark.parametrize("format", ["kerasbert", "hf"])
def test_round_trip(make, problem_type, format, tmp_path):
    task = make(problem_type, **({"threshold": 0.3} if format == "kerasbert" else {}))
    expected = logits_of(task)
    task.save_to_preset(tmp_path / "model", format=format)
    loaded = load(tmp_path / "model")
    facts = ("classes", "problem_type", "threshold")
    assert [getattr(loaded, fact) for fact in facts] == [getattr(task, fact) for fact in facts]
    assert loaded.uninitialized_weights == []
    np.testing.assert_allclose(logits_of(loaded), expected, atol=1e-5)


@pytest.mark.parametrize("before", PROBLEMS)
@pytest.mark.parametrize("after", PROBLEMS)
def test_another_problem_type_makes_a_new_head(make, before, after, tmp_path):
    threshold = {"threshold": 0.3} if before == MULTI else {}
    make(before, ["bad", "good", "so so"], **threshold).save_to_preset(tmp_path / "model")
    if before == after:
        assert (
            TextClassifier.from_preset(tmp_path / "model", problem_type=after).uninitialized_weights
            == []
        )
        return
    if after != REGRESSION:  # names of outputs of another kind are not class names
        with pytest.raises(InputError, match="TextClassifier needs classes: their names"):
            TextClassifier.from_preset(tmp_path / "model", problem_type=after)
    classes = {} if after == REGRESSION else {"classes": CLASSES[after]}
    loaded = TextClassifier.from_preset(tmp_path / "model", problem_type=after, **classes)
    assert loaded.classes == (CLASSES[after] or ["value"])
    assert loaded.threshold == 0.5
    assert sorted(loaded.uninitialized_weights) == ["classifier/bias", "classifier/kernel"]
    loaded.compile()
    with pytest.warns(UserWarning, match="random and not trained since: classifier/kernel, "):
        loss = loaded.evaluate(TEXTS, LABELS[after], verbose=0)[0]
    assert loss == pytest.approx(LOSSES[after](logits_of(loaded)).mean(), rel=1e-4)


def test_a_regression_from_googles_classifier_is_new(make, tmp_path):
    with pytest.warns(UserWarning, match="the number of classes, not their names bad, good"):
        make(SINGLE, dropout=0.1).save_to_preset(tmp_path / "model", format="google")
    loaded = TextClassifier.from_preset(
        tmp_path / "model", problem_type=REGRESSION, classes=["0", "1"]
    )
    assert sorted(loaded.uninitialized_weights) == ["classifier/bias", "classifier/kernel"]


@pytest.mark.parametrize(
    ("problem_type", "y", "message"),
    [
        (SINGLE, [[0.5, 0.5]] * 6, "y has the share of each class, but the loss takes one"),
        (SINGLE, [[1, 0, 0]] * 6, r"a share of each of the 2 classes, .* shape \(6, 3\)"),
        (SINGLE, [["bad", "good"]] * 6, r"y must be one name for every example, .* \(6, 2\)"),
        (MULTI, ["bad"] * 6, "for each of the 3 classes; found single names"),
        (MULTI, [0, 1] * 3, r"for each of the 3 classes; found the shape \(6,\)"),
        (MULTI, [[1]] * 6, r"for each of the 3 classes; found the shape \(6, 1\)"),
        (REGRESSION, ["1"] * 6, "y must be numbers, found strings"),
    ],
)
def test_dataset_labels_of_the_wrong_form(make, problem_type, y, message):
    task = make(problem_type)
    task.compile()
    with pytest.raises(InputError, match=message):
        task.fit(tf.data.Dataset.from_tensors((TEXTS, y)), verbose=0)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_number_of_regression_targets(make, count):
    names = [str(i) for i in range(count)]
    task = make(REGRESSION, names)
    task.compile()
    # Six examples with one, two or three numbers each.
    with pytest.raises(InputError, match=f"y must have {count} numbers for every example"):
        task.fit(TEXTS, NUMBERS, batch_size=6, verbose=0)
    with pytest.raises(InputError, match=f"y must have {count} numbers for every example"):
        task.score(TEXTS, NUMBERS)
    dataset = tf.data.Dataset.from_tensors((TEXTS, NUMBERS))
    with pytest.raises(InputError, match=f"y must have {count} numbers .*, found 1$"):
        task.fit(dataset, verbose=0)
    rows = np.arange(6.0 * count).reshape(6, count)
    found = task.evaluate(TEXTS, rows, verbose=0)[0]
    assert found == pytest.approx(np.mean((logits_of(task) - rows) ** 2), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, SINGLE),
        ({"problem_type": None}, SINGLE),
        ({"problem_type": MULTI}, MULTI),
        ({"problem_type": None, "id2label": {"0": "LABEL_0"}}, REGRESSION),
    ],
)
def test_defaults_of_transformers(make, changes, found, tmp_path):
    classes = {"id2label": 1}.keys() & changes.keys() and ["LABEL_0"]
    task = make(REGRESSION, classes) if classes else make(SINGLE)
    task.save_to_preset(tmp_path / "model", format="hf")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("problem_type") == task.problem_type
    path.write_text(json.dumps({**config, **changes}))
    loaded = load(tmp_path / "model")
    assert loaded.problem_type == found
    np.testing.assert_allclose(logits_of(loaded), logits_of(task), atol=1e-5)


def test_unknown_problem_type_of_transformers(make, tmp_path):
    make(SINGLE).save_to_preset(tmp_path / "model", format="hf")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "problem_type": "ranking"}))
    with pytest.raises(
        InputError, match=r"config.json: problem_type='ranking': expected one of single"
    ):
        load(tmp_path / "model")


@pytest.mark.parametrize("format", ["google", "kerashub"])
def test_formats_that_cannot_store_it(make, format, tmp_path):
    with pytest.raises(InputError, match="does not support problem_type='multi_label"):
        make(MULTI, dropout=0.1).save_to_preset(tmp_path / "model", format=format)


@pytest.fixture(scope="module")
def exported(tiny_backbone, tokenizer, tmp_path_factory):
    """Returns a task and its export, by problem type."""
    found = {}
    for problem_type in PROBLEMS:
        keras.utils.set_random_seed(0)
        task = TextClassifier(
            tiny_backbone(tokenizer),
            CLASSES[problem_type],
            problem_type=problem_type,
            tokenizer=tokenizer,
            threshold=0.4,
        )
        path = tmp_path_factory.mktemp(problem_type) / "1"
        task.preprocessor.features(TEXTS)
        task.export(path, check=False)
        found[problem_type] = task, SavedModelClient(path)
    return found


def test_export_of_several_labels(exported):
    task, client = exported[MULTI]
    scores = special.expit(logits_of(task))
    answers = client(text=TEXTS)
    np.testing.assert_allclose([row["scores"] for row in answers], scores, atol=1e-5)
    assert [row["predicted"] for row in answers] == (scores >= 0.4).astype(int).tolist()
    assert [row["labels"] for row in answers] == [task.classes] * 6


def test_export_of_numbers(exported, make):
    task, client = exported[REGRESSION]
    answers = client(text=TEXTS)
    assert answers[0].keys() == {"value"}
    assert [row["value"] for row in answers] == pytest.approx(logits_of(task)[:, 0], abs=1e-5)
    two = make(REGRESSION, ["x", "y"], pair=False)
    _, function = two.serving_signature()
    outputs = function(tf.constant(TEXTS))
    np.testing.assert_allclose(outputs["values"], logits_of(two), atol=1e-5)
    assert outputs["labels"].numpy().tolist() == [[b"x", b"y"]] * 6


@pytest.mark.parametrize("problem_type", PROBLEMS)
@given(texts=st.lists(st.text(max_size=60) | st.binary(max_size=30), max_size=4))
def test_any_strings(exported, problem_type, texts):
    task, client = exported[problem_type]
    _, function = task.serving_signature()
    column = tf.constant(texts, tf.string) if texts else tf.zeros([0], tf.string)
    live, served = function(column), client._serve(text=column)
    assert live.keys() == served.keys()
    for name, value in live.items():
        assert served[name].shape[0] == len(texts)
        if value.dtype == tf.float32:
            assert np.isfinite(value).all()
            np.testing.assert_allclose(served[name], value, atol=1e-5)
        else:
            np.testing.assert_array_equal(served[name], value)


def test_shares_count_as_the_nearer_of_zero_and_one():
    logits = np.array([[3.0, -3.0]], "float32")
    np.testing.assert_allclose(label_accuracy(np.array([[0.9, 0.1]]), logits), [1.0])


def test_numbers_beyond_zero_and_one_in_a_dataset(tiny_backbone, tokenizer):
    task = TextClassifier(
        tiny_backbone(tokenizer),
        ["a", "b"],
        tokenizer=tokenizer,
        problem_type="multi_label_classification",
    )
    task.compile()
    data = tf.data.Dataset.from_tensors((["a cat"], [[2.0, 0.0]]))
    with pytest.raises(InputError, match="0 and 1 for each of the 2 classes"):
        task.fit(data, verbose=0)
