"""Keras's losses and metrics on outputs that are logits."""

import keras
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from kerasbert import (
    InputError,
    MaskedLM,
    MultipleChoice,
    Pretrainer,
    QuestionAnswerer,
    ReplacedTokenDetector,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
    _compat,
)
from kerasbert.tasks.cross_entropy import accuracy
from kerasbert.tasks.from_logits import metric_of

NUMBERS = np.random.default_rng(0)
SINGLE, MULTI, REGRESSION = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)


def softmax(logits):
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


def features(rows=6, length=5, **more):
    ids = NUMBERS.integers(5, 40, (rows, length)).astype("int32")
    return {"token_ids": ids, **more}


def measured(metric, outputs, *batches):
    metric = metric_of(metric, outputs, "model", lambda name: name)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    for one in (metric, restored):
        for batch in batches:
            one.update_state(*batch)
    np.testing.assert_allclose(restored.result(), metric.result())
    return np.asarray(metric.result())


# === Metrics, compared with scikit-learn on probabilities ===

Y2, L2 = NUMBERS.integers(0, 2, 40), NUMBERS.normal(size=(40, 2)).astype("float32") * 2
Y3, L3 = NUMBERS.integers(0, 3, 40), NUMBERS.normal(size=(40, 3)).astype("float32") * 2
YM, LM = NUMBERS.integers(0, 2, (40, 3)), NUMBERS.normal(size=(40, 3)).astype("float32") * 2
P2, P3, PM = softmax(L2), softmax(L3), sigmoid(LM)
G2, G3, GM = P2.argmax(-1), P3.argmax(-1), (PM > 0.5) * 1


@pytest.mark.parametrize("make", [lambda c: c, str.lower, lambda c: getattr(keras.metrics, c)()])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Precision", sklearn_metrics.precision_score(Y2, G2)),
        ("Recall", sklearn_metrics.recall_score(Y2, G2)),
        ("AUC", sklearn_metrics.roc_auc_score(Y2, P2[:, 1])),
    ],
)
def test_two_classes(make, name, expected):
    found = measured(make(name), "softmax", (Y2[:15], L2[:15]), (Y2[15:], L2[15:]))
    np.testing.assert_allclose(found, expected, atol=0.01 if name == "AUC" else 1e-6)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("f1_score", sklearn_metrics.f1_score(Y3, G3, average=None)),
        (keras.metrics.F1Score("macro"), sklearn_metrics.f1_score(Y3, G3, average="macro")),
        (keras.metrics.F1Score, sklearn_metrics.f1_score(Y3, G3, average=None)),
        ("categorical_accuracy", np.mean(Y3 == G3)),
        ("sparse_categorical_accuracy", np.mean(Y3 == G3)),
        ("sparse_categorical_crossentropy", sklearn_metrics.log_loss(Y3, P3)),
        (keras.metrics.SparseCategoricalCrossentropy(), sklearn_metrics.log_loss(Y3, P3)),
        ("categorical_crossentropy", sklearn_metrics.log_loss(Y3, P3)),
        ("precision", np.mean(Y3[P3.max(-1) > 0.5] == G3[P3.max(-1) > 0.5])),
        (keras.metrics.categorical_accuracy, np.mean(Y3 == G3)),
    ],
)
def test_three_classes(metric, expected):
    batches = (Y3[:15], L3[:15]), (Y3[15:], L3[15:])
    np.testing.assert_allclose(measured(metric, "softmax", *batches), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("f1_score", None),
        (keras.metrics.F1Score("micro", 0.5), sklearn_metrics.f1_score(YM, GM, average="micro")),
        ("binary_accuracy", np.mean(YM == GM)),
        ("binary_crossentropy", np.mean(-YM * np.log(PM) - (1 - YM) * np.log(1 - PM))),
        ("AUC", sklearn_metrics.roc_auc_score(YM.ravel(), PM.ravel())),
        ("precision", sklearn_metrics.precision_score(YM, GM, average="micro")),
    ],
)
def test_many_labels(metric, expected):
    if expected is None:  # without a threshold, Keras's metric takes the largest value of a row
        expected = sklearn_metrics.f1_score(YM, PM.max(-1, keepdims=True) == PM, average=None)
    batches = (YM[:15], LM[:15]), (YM[15:], LM[15:])
    limit = 0.01 if metric == "AUC" else 1e-4
    np.testing.assert_allclose(measured(metric, "sigmoid", *batches), expected, atol=limit)


@pytest.mark.parametrize("metric", ["auc", "recall", "binary_accuracy"])
def test_positions_are_weighted(metric):
    """Labels of tokens, (batch, sequence), in batches of two widths."""
    batches, labels, scores, weights = [], [], [], []
    for width in (3, 7):
        y, w = NUMBERS.integers(0, 2, (9, width)), NUMBERS.integers(0, 2, (9, width))
        logits = NUMBERS.normal(size=(9, width, 2)).astype("float32")
        batches.append((y, logits, w.astype("float32")))
        labels += y.ravel().tolist()
        scores += softmax(logits)[..., 1].ravel().tolist()
        weights += w.ravel().tolist()
    said = np.array(scores) > 0.5
    expected = {
        "auc": sklearn_metrics.roc_auc_score(labels, scores, sample_weight=weights),
        "recall": sklearn_metrics.recall_score(labels, said, sample_weight=weights),
        "binary_accuracy": sklearn_metrics.accuracy_score(labels, said, sample_weight=weights),
    }[metric]
    limit = 0.02 if metric == "auc" else 1e-6
    np.testing.assert_allclose(measured(metric, "softmax", *batches), expected, atol=limit)
    as_sigmoids = [(y, logits[..., 1] - logits[..., 0], w) for y, logits, w in batches]
    np.testing.assert_allclose(measured(metric, "sigmoid", *as_sigmoids), expected, atol=limit)


def test_position_accuracy_in_batches_of_two_widths():
    """All positions have the same weight, whatever the length of the other rows."""
    metric = accuracy()
    metric.update_state(np.array([[0]]), np.array([[[1.0, 0.0]]]), [[1.0]])
    metric.update_state(np.array([[0, 1, 1, 0]]), np.array([[[0.0, 1.0]] * 4]), [[1.0, 1, 0, 1]])
    assert float(metric.result()) == pytest.approx(2 / 4)


def test_custom_objects_are_unchanged():
    def of_mine(y_true, y_pred):
        return y_pred[:, 0]

    assert metric_of(of_mine, "softmax", "model", None) is of_mine
    auc = keras.metrics.AUC(from_logits=True)
    assert metric_of(auc, "sigmoid", "model", None) is auc


@pytest.mark.parametrize("metric", ["Accuracy", keras.metrics.Accuracy(), "MeanIoU"])
def test_metrics_of_labels(metric):
    if metric == "Accuracy":
        assert metric_of(metric, "softmax", "model", lambda name: name) == metric
        return
    with pytest.raises(InputError, match="compares labels with labels; for the outputs of model"):
        metric_of(
            keras.metrics.MeanIoU(2) if metric == "MeanIoU" else metric, "softmax", "model", None
        )


# === Tasks ===


def compiled(task, **arguments):
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True, **arguments)
    return task


def classifier(tokenizer, tiny_backbone, problem_type=SINGLE, classes=3):
    return TextClassifier(tiny_backbone(tokenizer), classes, problem_type=problem_type)


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "SparseCategoricalCrossentropy",
        "crossentropy",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda y, p: keras.ops.sparse_categorical_crossentropy(y, p, from_logits=True),
    ],
)
def test_loss_of_one_class(tokenizer, tiny_backbone, loss):
    x, y = features(), np.array([0, 1, 2, 2, 1, 0])
    task = compiled(classifier(tokenizer, tiny_backbone), loss=loss, metrics=["accuracy"])
    found = task.evaluate(x, y, verbose=0, return_dict=True)
    outputs = task.predict(x, verbose=0)
    assert found["loss"] == pytest.approx(sklearn_metrics.log_loss(y, softmax(outputs)), rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(outputs.argmax(-1) == y))


@pytest.mark.parametrize("loss", ["binary_crossentropy", "BinaryCrossentropy", "bce"])
def test_loss_of_many_labels(tokenizer, tiny_backbone, loss):
    x, y = features(), NUMBERS.integers(0, 2, (6, 3))
    task = compiled(
        classifier(tokenizer, tiny_backbone, MULTI), loss=loss, metrics=["accuracy", "recall"]
    )
    found = task.evaluate(x, y, verbose=0, return_dict=True)
    outputs = sigmoid(task.predict(x, verbose=0))
    expected = -np.mean(y * np.log(outputs) + (1 - y) * np.log(1 - outputs))
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean((outputs >= 0.5) == y))
    recall = sklearn_metrics.recall_score(y, outputs > 0.5, average="micro")
    assert found["recall"] == pytest.approx(recall)


@pytest.mark.parametrize(
    ("problem_type", "arguments", "message"),
    [
        (SINGLE, {"loss": "binary_crossentropy"}, "takes SparseCategoricalCrossentropy or"),
        (MULTI, {"loss": "sparse_categorical_crossentropy"}, "takes BinaryCrossentropy or"),
        (REGRESSION, {"loss": "binary_crossentropy"}, "text_classifier has no classes"),
        (REGRESSION, {"metrics": ["accuracy"]}, "is for classes, which text_classifier does not"),
        (SINGLE, {"loss": keras.losses.SparseCategoricalCrossentropy()}, "with from_logits=True"),
        (SINGLE, {"loss": "kl_divergence"}, "takes probabilities, and the outputs of text_c"),
        (MULTI, {"loss": keras.losses.Dice()}, "BinaryCrossentropy suits them"),
    ],
)
def test_refused(tokenizer, tiny_backbone, problem_type, arguments, message):
    classes = None if problem_type == REGRESSION else 3
    task = classifier(tokenizer, tiny_backbone, problem_type, classes)
    with pytest.raises(InputError, match=message):
        task.compile(**arguments)


def test_regression_keeps_its_losses(tokenizer, tiny_backbone):
    task = compiled(
        classifier(tokenizer, tiny_backbone, REGRESSION, None), loss="mse", metrics=["mae"]
    )
    x, y = features(), NUMBERS.normal(size=(6, 1))
    found = task.evaluate(x, y, verbose=0, return_dict=True)
    error = task.predict(x, verbose=0) - y
    assert found["loss"] == pytest.approx(np.mean(error**2), rel=1e-5)
    assert found["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-5)


@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
def test_unused_mask_positions_do_not_count(tokenizer, tiny_backbone, argument):
    task = MaskedLM(tiny_backbone(tokenizer))
    compiled(task, loss="sparse_categorical_crossentropy", **{argument: ["accuracy"]})
    x = features(2, mask_positions=np.array([[1, 2, 0], [3, 0, 0]]))
    weights = np.array([[1.0, 1, 0], [1, 0, 0]])
    logits = task.predict(x, verbose=0)
    y = logits.argmax(-1)
    y[:, 2], y[0, 1] = -5 % 7, (y[0, 1] + 1) % 7  # two of three correct, all unused ones wrong
    y[1, 1:] = (y[1, 1:] + 1) % 7
    found = task.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    assert found["accuracy"] == pytest.approx(2 / 3)
    used = weights > 0
    losses = -np.log(np.take_along_axis(softmax(logits), y[..., None], -1)[..., 0])[used]
    assert found["loss"] == pytest.approx(losses.mean(), rel=1e-5)


@pytest.mark.parametrize("make", [Pretrainer, QuestionAnswerer])
def test_a_name_applies_to_every_output(tokenizer, tiny_backbone, make):
    task = make(tiny_backbone(tokenizer))
    compiled(task, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x = features(2)
    if make is Pretrainer:
        x["mask_positions"] = np.array([[1, 2], [3, 4]])
    outputs = task.predict(x, verbose=0)
    y = {name: output.argmin(-1) for name, output in outputs.items()}
    right, wrong = outputs
    y[right] = outputs[right].argmax(-1)
    found = task.evaluate(x, y, verbose=0, return_dict=True)
    assert (found[f"{right}_accuracy"], found[f"{wrong}_accuracy"]) == (1.0, 0.0)
    losses = [
        -np.log(np.take_along_axis(softmax(outputs[name]), y[name][..., None], -1)).mean()
        for name in outputs
    ]
    assert found["loss"] == pytest.approx(sum(losses), rel=1e-5)


def test_token_classes(tokenizer, tiny_backbone):
    task = compiled(
        TokenClassifier(tiny_backbone(tokenizer), 2),
        loss="sparse_categorical_crossentropy",
        metrics=["acc", "precision"],
    )
    x, y = features(2), np.array([[0, 1, 0, 1, 1], [1, 1, 0, 0, 0]])
    weights = np.array([[0.0, 1, 1, 0, 0], [0, 1, 0, 1, 1]])
    found = task.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    said = task.predict(x, verbose=0).argmax(-1)[weights > 0]
    assert found["acc"] == pytest.approx(np.mean(said == y[weights > 0]))
    expected = sklearn_metrics.precision_score(y[weights > 0], said, zero_division=0)
    assert found["precision"] == pytest.approx(expected)


@pytest.mark.parametrize("arguments", [{}, {"loss": "bce", "metrics": ["accuracy", "AUC"]}])
def test_replaced_tokens_with_weights(tokenizer, tiny_backbone, arguments):
    task = compiled(ReplacedTokenDetector(tiny_backbone(tokenizer)), **arguments)
    x, y = features(2), np.array([[0, 1, 0, 1, 1], [1, 1, 0, 0, 0]])
    weights = np.array([[1.0, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    found = task.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    logits = task.predict(x, verbose=0)
    assert found["accuracy"] == pytest.approx(np.average((logits > 0) == y, weights=weights))
    chances = sigmoid(np.where(y, logits, -logits))
    assert found["loss"] == pytest.approx(np.average(-np.log(chances), weights=weights), rel=1e-4)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.BinaryCrossentropy,
        keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2),
        "binary_focal_crossentropy",
    ],
)
def test_binary_losses_of_tokens(tokenizer, tiny_backbone, loss):
    """Keras's average each row first; these average the tokens over their weights."""
    task = compiled(ReplacedTokenDetector(tiny_backbone(tokenizer)), loss=loss)
    x, y = features(2), np.array([[0, 1, 0, 1, 1], [1, 1, 0, 0, 0]])
    weights = np.array([[1.0, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    of_keras = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(task.loss)
    ).loss.loss
    logits = task.predict(x, verbose=0)
    each = of_keras.call(y.reshape(-1, 1), logits.reshape(-1, 1))
    expected = np.average(each, weights=weights.reshape(-1))
    found = task.evaluate(x, y, sample_weight=weights, verbose=0)[0]
    assert found == pytest.approx(expected, rel=1e-5)


def test_vectors_have_no_classes(tokenizer, tiny_backbone):
    task = TextEmbedder(tiny_backbone(tokenizer), objective="similarity")
    with pytest.raises(InputError, match="is for classes, which text_embedder does not have"):
        task.compile(metrics=["accuracy"])


def test_both_kinds_of_metrics(tokenizer, tiny_backbone):
    with pytest.raises(InputError, match="metrics of masked_lm are weighted ones, too"):
        MaskedLM(tiny_backbone(tokenizer)).compile(metrics=["acc"], weighted_metrics=["acc"])


@pytest.mark.parametrize(
    "make",
    [
        lambda backbone: TextClassifier(backbone, 2),
        lambda backbone: TokenClassifier(backbone, 2),
        MaskedLM,
        MultipleChoice,
        Pretrainer,
        QuestionAnswerer,
        ReplacedTokenDetector,
        TextEmbedder,
    ],
)
def test_no_metrics(tokenizer, tiny_backbone, make):
    """Only None means the task's own ones."""
    task = make(tiny_backbone(tokenizer))

    def metrics(**arguments):
        task.compile(**arguments)
        kinds = ("metrics", "weighted_metrics")
        found = keras.tree.flatten([_compat.given_metrics(task, kind) for kind in kinds])
        return [metric for metric in found if metric is not None]

    assert metrics()
    assert metrics(metrics=[]) == metrics(weighted_metrics=[]) == []
    assert metrics(weighted_metrics=["accuracy"])


def test_compiled_names_are_kept_in_a_file(tokenizer, tiny_backbone, tmp_path):
    task = classifier(tokenizer, tiny_backbone, classes=2)
    compiled(task, loss="sparse_categorical_crossentropy", metrics=["accuracy", "AUC", "f1_score"])
    x, y = features(), np.array([0, 1, 1, 0, 1, 0])
    expected = task.evaluate(x, y, verbose=0, return_dict=True)
    task.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    found = loaded.evaluate(x, y, verbose=0, return_dict=True)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["Precision", "Recall"])
@pytest.mark.parametrize("class_id", [0, 1])
def test_one_of_two_classes(kind, class_id):
    """`class_id` counts both classes, though a binary metric sees the second alone."""
    metric = getattr(keras.metrics, kind)(class_id=class_id)
    score = getattr(sklearn_metrics, f"{kind.lower()}_score")
    expected = score(Y2, G2, pos_label=class_id)
    assert measured(metric, "softmax", (Y2, L2)) == pytest.approx(expected)


def test_the_best_of_two_classes():
    metric = keras.metrics.Precision(top_k=1)
    assert measured(metric, "softmax", (Y2, L2)) == pytest.approx(np.mean(Y2 == G2))
