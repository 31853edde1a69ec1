"""Forms of inputs of tasks: single strings, labels in many forms, small calls."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

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
    load,
)

TEXTS = ["a good red cat", "the bad dog", "good", "a bad red house"]
NAMES = ["good", "bad", "good", "bad"]
WORDS = [["a", "cat"], ["the", "bad", "dog"], ["it"]]
TAGS = [["O", "B"], ["O", "O", "B"], ["O"]]
PAIRS = (TEXTS, TEXTS[::-1])


@pytest.fixture
def make(tiny_backbone, tokenizer):
    def make(task, *args, **options):
        keras.utils.set_random_seed(0)
        return task(tiny_backbone(tokenizer), *args, tokenizer=tokenizer, **options)

    return make


@pytest.fixture
def classifier(make):
    task = make(TextClassifier, ["bad", "good"])
    task.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return task


TASKS = {
    "classifier": (lambda make: make(TextClassifier, 2), TEXTS, [0, 1, 0, 1]),
    "pairs": (lambda make: make(TextClassifier, 2, pair=True), PAIRS, [0, 1, 0, 1]),
    "embedder": (lambda make: make(TextEmbedder), PAIRS, None),
    "tagger": (lambda make: make(TokenClassifier, ["O", "B"]), WORDS, TAGS),
    "answerer": (
        lambda make: make(QuestionAnswerer),
        {"question": ["red"] * 2, "context": ["a good cat", "bad"]},
        ["cat", "bad"],
    ),
    "choices": (
        lambda make: make(MultipleChoice),
        (["a cat", "the"], [["is bad", "runs"], ["dog"]]),
        [0, "dog"],
    ),
    "masked": (lambda make: make(MaskedLM), TEXTS, None),
    "pretrainer": (lambda make: make(Pretrainer), TEXTS, None),
}


def _rows(x, slice_):
    if isinstance(x, dict):
        return {name: column[slice_] for name, column in x.items()}
    return tuple(column[slice_] for column in x) if isinstance(x, tuple) else x[slice_]


@pytest.fixture(params=TASKS)
def given(request, make):
    """Returns a task, examples and labels."""
    build, x, y = TASKS[request.param]
    task = build(make)
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return task, x, y


def batches(x, y, sizes=(1, 1)):
    """Yields the first rows as batches, as a generator does."""
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        yield (_rows(x, part), y[part]) if y is not None else (_rows(x, part),)
        start += size


class Batches(keras.utils.PyDataset):
    """The same batches as a Keras `PyDataset`."""

    def __init__(self, x, y):
        super().__init__()
        self.batches, self.begins, self.ends = list(batches(x, y)), 0, 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_begin(self):
        self.begins += 1

    def on_epoch_end(self):
        self.ends += 1


# === Batches of text ===


def test_generators_and_py_datasets_train(given):
    task, x, y = given
    for stream in (batches(x, y), Batches(x, y)):
        before = int(task.optimizer.iterations)
        steps = None if isinstance(stream, Batches) else 2  # Keras warns if a generator ends
        history = task.fit(stream, steps_per_epoch=steps, verbose=0).history
        assert int(task.optimizer.iterations) - before == 2
        assert np.isfinite(history["loss"][0])
    together = Batches(x, y)
    task.fit(together, epochs=2, verbose=0)
    assert (together.begins, together.ends) == (2, 2)


def test_generators_and_py_datasets_are_evaluated(classifier):
    expected = classifier.evaluate(TEXTS, NAMES, batch_size=2, verbose=0)
    found = classifier.evaluate(batches(TEXTS, NAMES, (2, 2)), steps=2, verbose=0)
    assert found == pytest.approx(expected)
    half = classifier.evaluate(TEXTS[:2], NAMES[:2], verbose=0)
    assert classifier.evaluate(Batches(TEXTS, NAMES), verbose=0) == pytest.approx(half)
    logits = classifier.predict(TEXTS[:2], verbose=0)
    np.testing.assert_allclose(classifier.predict(Batches(TEXTS, NAMES), verbose=0), logits, 1e-5)
    history = classifier.fit(TEXTS, NAMES, validation_data=Batches(TEXTS, NAMES), verbose=0).history
    assert "val_loss" in history


def test_a_list_of_texts_is_no_tuple(classifier):
    """Keras takes a list of two for inputs and labels, and has an error for one of four."""
    logits = classifier.predict(TEXTS, verbose=0)
    together = Batches(TEXTS, NAMES)
    together.batches = [TEXTS[:2], TEXTS[2:]]
    streams = (iter([TEXTS[:2], TEXTS[2:]]), 2), (together, None), (iter([TEXTS]), 1)
    for stream, steps in streams:
        found = classifier.predict(stream, steps=steps, verbose=0)
        np.testing.assert_allclose(found, logits, atol=1e-5)
    expected = classifier.evaluate(TEXTS, NAMES, verbose=0)
    found = classifier.evaluate(iter([[TEXTS, NAMES]]), steps=1, verbose=0)
    assert found == pytest.approx(expected)


def test_streams_of_features_go_to_keras(classifier):
    features = {k: v.numpy() for k, v in classifier.preprocessor.features(TEXTS).items()}
    expected = classifier.evaluate(TEXTS, NAMES, verbose=0)
    for kind in (tuple, list):
        stream = (kind((features, np.array([1, 0, 1, 0]))) for _ in range(2))
        found = classifier.evaluate(stream, steps=2, verbose=0)
        assert found == pytest.approx(expected, rel=1e-4)
    logits = classifier.predict(iter([features]), steps=1, verbose=0)
    np.testing.assert_allclose(logits, classifier.predict(TEXTS, verbose=0), atol=1e-5)


def test_bad_streams(classifier):
    with pytest.raises(InputError, match="the generator has no batch"):
        classifier.fit(iter(()), verbose=0)
    with pytest.raises(InputError, match=r"y\[0\] is 'fair', which is none"):
        classifier.fit(iter([(["a"], ["fair"])]), verbose=0)
    with pytest.raises(InputError, match=r"a batch must be .*, found 4 values"):
        classifier.predict(iter([("a", "b", "c", "d")]), verbose=0)


def test_single_batches(given):
    task, x, y = given
    result = task.test_on_batch(x, y, return_dict=True)
    expected = task.evaluate(x, y, batch_size=99, verbose=0, return_dict=True)
    if not isinstance(task, MaskedLM):  # its masks are random
        assert result["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert np.isfinite(task.train_on_batch(x, y, return_dict=True)["loss"])
    assert int(task.optimizer.iterations) == 1


def test_predict_on_batch_and_call(classifier, make):
    expected = classifier.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(classifier.predict_on_batch(TEXTS), expected, rtol=1e-5)
    np.testing.assert_allclose(classifier(TEXTS, training=False), expected, rtol=1e-4)
    np.testing.assert_allclose(classifier(TEXTS[0], training=False), expected[:1], rtol=1e-4)
    traced = tf.function(lambda texts: classifier(texts, training=False))
    np.testing.assert_allclose(traced(tf.constant(TEXTS)), expected, rtol=1e-4)
    embedder = make(TextEmbedder)
    np.testing.assert_allclose(embedder(TEXTS), embedder.embed(TEXTS), rtol=1e-4, atol=1e-6)
    assert make(TokenClassifier, 2).predict_on_batch(WORDS).shape == (3, 3, 2)
    answerer = make(QuestionAnswerer)
    assert answerer.predict_on_batch(("a", "b"))["start_logits"].shape == (1, 1, 24)
    for task, x in ((make(TokenClassifier, 2), WORDS), (answerer, ("a", "b"))):
        with pytest.raises(
            InputError, match="pass text to predict; a direct call takes features only"
        ):
            task(x)
        with pytest.raises(InputError, match="a direct call takes features only"):
            task.predict(iter([(x,)]), verbose=0)


# === One text or none ===


def test_one_string_is_a_batch_of_one(make):
    tagger, answerer = make(TokenClassifier, 2), make(QuestionAnswerer)
    chooser, embedder = make(MultipleChoice), make(TextEmbedder)
    classifier, pairs = make(TextClassifier, 2), make(TextClassifier, 2, pair=True)
    assert classifier.classify("a cat") == classifier.classify(["a cat"])
    assert pairs.classify(("a cat", "a dog")) == pairs.classify((["a cat"], ["a dog"]))
    assert tagger.tag("a cat") == tagger.tag(["a cat"])
    assert answerer.answer("a", "the cat") == answerer.answer(["a"], ["the cat"])
    assert chooser.choose("a", ["cat", "dog"]) == chooser.choose(["a"], [["cat", "dog"]])
    np.testing.assert_array_equal(embedder.embed("a cat"), embedder.embed(["a cat"]))
    assert embedder.search("a cat", np.eye(16), 2)[0].shape == (1, 2)


def test_empty_inputs(make):
    for task in (make(TextClassifier, 3), make(TextClassifier, 3, pair=True)):
        assert task.predict([], verbose=0).shape == (0, 3)
        assert task.classify([]) == []
    assert make(TextEmbedder).embed([]).shape == (0, 16)
    assert make(TokenClassifier, 2).tag([]) == []
    assert make(QuestionAnswerer).answer([], []) == []
    assert make(MultipleChoice).choose([], []) == []
    assert make(MaskedLM).predict([], verbose=0).shape[0] == 0


def test_nothing_to_learn_or_score(given):
    task, x, y = given
    none = tuple([] for _ in x) if isinstance(x, tuple) else []
    for method in (task.fit, task.evaluate, task.score):
        arguments = {} if method == task.score else {"verbose": 0}
        if not hasattr(type(task), "score") or (method == task.score and y is None):
            continue
        with pytest.raises(InputError, match=r"there are no examples|found question alone"):
            method(none, None if y is None else [], **arguments)
    with pytest.raises(InputError, match="found None"):
        task.predict(None)


# === Labels ===


@pytest.mark.parametrize("classes", [[1, 2, 3], [1, 0], [-1, 0, 1], np.array([3, 5]), ["7", "8"]])
def test_integer_class_names(make, classes, tmp_path):
    task = make(TextClassifier, classes)
    task.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    given = [int(name) for name in classes]
    y = [given[-1], given[0]]
    named = [str(label) for label in y]
    np.testing.assert_array_equal(
        task.preprocessor.labels(y, {}), task.preprocessor.labels(named, {})
    )
    np.testing.assert_array_equal(task.preprocessor.labels(y, {}), [len(given) - 1, 0])
    np.testing.assert_array_equal(
        task.preprocessor.labels(np.array(y, float), {}), [len(given) - 1, 0]
    )
    assert task.score(TEXTS[:2], y) == task.score(TEXTS[:2], named)
    dataset = tf.data.Dataset.from_tensors((TEXTS[:2], y))
    expected = task.evaluate(TEXTS[:2], named, verbose=0)
    assert task.evaluate(dataset, verbose=0) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_array_equal(task.class_weights(named, {y[0]: 3.0}), [3.0, 1.0])
    with pytest.raises(InputError, match="y\\[0\\] is 9, which is none of the classes"):
        task.preprocessor.labels([9], {})
    task.save_to_preset(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.preprocessor.labels(y, {}), task.preprocessor.labels(y, {})
    )


def test_whole_numbers_as_tags(make):
    task = make(TokenClassifier, [1, 2, 3])
    rows = task.preprocessor.rows([["a", "b"]], [[2, 1]])
    assert rows.y.to_list() == [[1, 0]]


def test_learns_classes_that_are_numbers(make):
    task = make(TextClassifier, [1, 2])
    task.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
    task.fit(TEXTS * 4, [2, 1, 2, 1] * 4, epochs=8, batch_size=16, verbose=0)
    assert [answer["label"] for answer in task.classify(TEXTS)] == ["2", "1", "2", "1"]


@pytest.mark.parametrize(
    ("classes", "y", "expected"),
    [
        ([False, True], [True, False], [1, 0]),
        ([True, False], [True, False], [0, 1]),
        (["no", "yes"], [True, False], [1, 0]),
        (["no", "yes"], np.array([[1], [0]]), [1, 0]),
        (["no", "yes"], [["yes"], ["no"]], [1, 0]),
        (["no", "yes"], np.array(["yes", "no"]), [1, 0]),
        ({0: "no", "1": "yes"}, ["yes", "no"], [1, 0]),
        (np.int64(3), [2, 0], [2, 0]),
    ],
)
def test_labels_in_many_forms(make, classes, y, expected):
    assert make(TextClassifier, classes).preprocessor.labels(y, {}).tolist() == expected


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["good", None], r"y\[1\] is missing \(None\); the classes are bad, good"),
        ([0.0, 0.5], r"y\[1\] is 0.5, which is none of the classes bad, good"),
        ([0, -1], r"y\[1\] is -1, but indices of the 2 classes bad, good go from 0 to 1"),
        ([1.0, float("nan")], r"y\[1\] is missing"),
        ({"good": 1}, "y must be one label for each example, found a dict"),
        (np.zeros((2, 3)), "a share of each of the 2 classes, .* the shape \\(2, 3\\)"),
        (["good"], "there are 2 texts, but y has 1"),
        ([["good"], None], r"y\[0\] is \['good'\], which is none of the classes"),
        ([["good"], "b"], r"y\[0\] is \['good'\], which is none of the classes"),
        ([[1], 0], r"y\[0\] is \[1\], which is none of the classes"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate", "score"])
def test_bad_labels(classifier, method, y, message):
    verbose = {} if method == "score" else {"verbose": 0}
    with pytest.raises(InputError, match=message):
        getattr(classifier, method)(["a", "b"], y, **verbose)


def test_class_probabilities_as_labels(classifier, make):
    hot = np.eye(2)[[1, 0, 1, 0]]
    expected = classifier.evaluate(TEXTS, NAMES, verbose=0)[0]
    assert classifier.evaluate(TEXTS, hot, verbose=0)[0] == pytest.approx(expected)
    assert classifier.score(TEXTS, hot) == classifier.score(TEXTS, NAMES)
    with pytest.raises(InputError, match="CategoricalCrossentropy"):
        classifier.evaluate(TEXTS, hot * 0.8 + 0.1, verbose=0)
    classifier.compile(
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy()],
    )
    assert classifier.evaluate(TEXTS, hot, verbose=0)[0] == pytest.approx(expected, rel=1e-4)


def test_a_loss_that_takes_shares(classifier):
    """Labels get the form that the loss takes, and accuracy is that of this form."""
    forms = np.eye(2)[[1, 0, 1, 0]], NAMES, [1, 0, 1, 0]
    expected = classifier.evaluate(TEXTS, NAMES, verbose=0)
    dataset = tf.data.Dataset.from_tensors((TEXTS, forms[0]))
    assert classifier.evaluate(dataset, verbose=0) == pytest.approx(expected, rel=1e-4)
    classifier.compile(loss="categorical_crossentropy", run_eagerly=True)
    for y in forms:
        dataset = tf.data.Dataset.from_tensors((TEXTS, y))
        for data in ((TEXTS, y), (dataset,)):
            found = classifier.evaluate(*data, verbose=0)
            assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": "ab"}, "classes must be a list of names, or how many there are; found 'ab'"),
        ({"classes": {"a", "b"}}, "classes must be a list of names"),
        ({"classes": True}, "classes must be a list of names"),
        ({"classes": [0.5, 1.5]}, "names or whole numbers, found 0.5"),
        ({"classes": {"a": 0, "b": 1}}, "must have the keys 0 to 1 and names as values"),
        ({"num_classes": 2}, "TextClassifier has no argument num_classes; it is classes here"),
        ({"num_labels": 2}, "it is classes here"),
        ({"clases": 2}, "has no argument clases; it is classes here"),
        ({"classes": 2, "colour": 2}, "has no argument colour; it has backbone, "),
    ],
)
def test_bad_arguments(make, arguments, message):
    with pytest.raises(InputError, match=message):
        make(TextClassifier, **arguments)


def test_arguments_of_from_preset(classifier, tmp_path):
    classifier.save_to_preset(tmp_path / "model")
    with pytest.raises(InputError, match="num_classes; it is classes here"):
        TextClassifier.from_preset(tmp_path / "model", num_classes=3)


# === Answers ===


def test_answers_as_strings(make):
    task = make(QuestionAnswerer)
    x = {"question": ["a", "b", "c"], "context": ["the cat", "a dog", "it is"]}
    lists = [
        {"text": ["cat"], "answer_start": [4]},
        {"text": ["dog", "a dog"], "answer_start": [2, 0]},
        {"text": [], "answer_start": []},
    ]
    for y in (
        ["cat", ["dog", "a dog"], ""],
        [{"text": "cat", "answer_start": 4}, {"text": ["dog", "a dog"]}, []],
        {"text": ["cat", ["dog", "a dog"], []], "answer_start": [4, [2, 0], []]},
    ):
        assert task.score(x, y) == task.score(x, lists)
        rows, expected = task.preprocessor.rows(x, y), task.preprocessor.rows(x, lists)
        for name, positions in expected.y.items():
            np.testing.assert_array_equal(rows.y[name], positions)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["the"], r"y\[0\]: the context contains 'the' more than once; give answer_start"),
        (["dog"], r"y\[0\]: the context does not contain 'dog'"),
        ([3], r"y\[0\] must be an answer, a list of answers, or a dict"),
        ([None], r"y\[0\] must be an answer"),
        (["cat", "cat"], "there are 1 questions, but y has 2"),
        ([{"text": ["cat"], "answer_start": []}], r"one integer in answer_start"),
        (
            [{"text": ["cat"], "answer_start": [0]}],
            r"the context does not contain 'cat' at character 0",
        ),
    ],
)
def test_bad_answers(make, y, message):
    with pytest.raises(InputError, match=message):
        make(QuestionAnswerer).preprocessor.rows((["who"], ["the cat the"]), y)


# === Weights ===


def test_class_weight_as_a_list(classifier):
    classifier.compile(keras.optimizers.SGD(0.0), run_eagerly=True)

    def loss(weights):
        return classifier.fit(TEXTS, NAMES, class_weight=weights, verbose=0).history["loss"]

    assert loss([1.0, 3.0]) == pytest.approx(loss({"good": 3.0}))
    for weights in ({"good": 3.0}, [1.0, 3.0]):
        classifier.reset_metrics()
        found = classifier.train_on_batch(TEXTS, NAMES, class_weight=weights, return_dict=True)
        assert found["loss"] == pytest.approx(loss(weights)[0], rel=1e-4)
    with pytest.raises(InputError, match="class_weight has 3 weights for the 2 classes bad, good"):
        loss([1.0, 1.0, 1.0])
    with pytest.raises(InputError, match="0 or more"):
        loss([1.0, -1.0])


def test_class_weight_of_a_tagger(make):
    task = make(TokenClassifier, ["O", "B"])
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True)

    def loss(x=WORDS, y=TAGS, **weights):
        return task.fit(x, y, verbose=0, **weights).history["loss"][0]

    by_word = [[1.0, 3.0], [1.0, 1.0, 3.0], [1.0]]
    expected = loss(sample_weight=by_word)
    assert expected != pytest.approx(loss())
    assert loss(class_weight={"B": 3.0}) == pytest.approx(expected)
    assert loss(class_weight=[1.0, 3.0]) == pytest.approx(expected)
    assert task.class_weights(TAGS, {"B": 3.0}) == by_word
    stream = iter([(WORDS, TAGS)])
    found = loss(stream, None, class_weight={1: 3.0}, steps_per_epoch=1)
    assert found == pytest.approx(expected)
    rows = task.preprocessor.rows(WORDS, TAGS)
    columns = rows.columns
    features, y, weights = task.preprocessor.training_examples(
        0, columns["x"], rows.y, rows.sample_weight
    )
    features = {name: value.numpy() for name, value in features.items()}
    assert loss(
        features, y.numpy(), sample_weight=weights.numpy(), class_weight={"B": 3.0}
    ) == pytest.approx(expected, rel=1e-4)
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    batch = (features, y.numpy(), weights.numpy())
    found = task.train_on_batch(*batch, class_weight={"B": 3.0}, return_dict=True)
    assert found["loss"] == pytest.approx(expected, rel=1e-4)
    whole = loss(sample_weight=[0.0, 2.0, 1.0], class_weight={"B": 3.0})
    assert whole == pytest.approx(loss(sample_weight=[[0, 0], [2, 2, 6], [1]]))


@pytest.mark.parametrize("task", [MaskedLM, ReplacedTokenDetector])
def test_class_weight_of_tokens_is_refused(make, task):
    # Keras would take the position of a row's highest label as the row's class.
    task = make(task)
    task.compile(run_eagerly=True)
    x = {name: value.numpy() for name, value in task.preprocessor.features(TEXTS).items()}
    y = np.zeros_like(x.get("mask_positions", x["token_ids"]))
    for train in (task.fit, task.train_on_batch):
        with pytest.raises(InputError, match="learns labels of tokens"):
            train(x, y, class_weight={0: 1.0, 1: 3.0})


def test_class_weight_needs_classes(make):
    task = make(TextEmbedder)
    task.compile(run_eagerly=True)
    for train in (task.fit, task.train_on_batch):
        with pytest.raises(InputError, match="those of text_embedder have none"):
            train(PAIRS, class_weight={0: 1.0, 1: 3.0})


@pytest.mark.parametrize("size", [0, -1])
def test_bad_counts(make, size):
    tagger, answerer = make(TokenClassifier, ["O", "B"]), make(QuestionAnswerer)
    for answer in (
        lambda: tagger.tag(["a cat"], batch_size=size),
        lambda: tagger.tag(["a cat"], aggregation="first", batch_size=size),
        lambda: tagger.predict(["a cat"], batch_size=size),
        lambda: tagger.score(WORDS, TAGS, batch_size=size),
        lambda: answerer.answer(["a"], ["a cat"], batch_size=size),
        lambda: make(TextEmbedder).word_vectors(["a cat"], batch_size=size),
    ):
        with pytest.raises(InputError, match=f"batch_size must be 1 or more, found {size}"):
            answer()
    with pytest.raises(InputError, match=f"top_k must be 1 or more, found {size}"):
        make(MaskedLM).fill_mask("a [MASK]", top_k=size)


def test_windows_are_not_predicted_from_batches(make):
    x = {"question": ["a"], "context": ["a cat"]}
    for task, batch in ((make(TokenClassifier, 2), WORDS), (make(QuestionAnswerer), x)):
        with pytest.raises(InputError, match="pass them to predict as lists, not as a generator"):
            task.predict(iter([batch]))


def test_validation_data_goes_before_validation_split(classifier):
    classifier.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    held = classifier.evaluate(TEXTS[:1], NAMES[:1], verbose=0)[0]
    for x in (TEXTS, {k: v.numpy() for k, v in classifier.preprocessor.features(TEXTS).items()}):
        y = NAMES if x is TEXTS else np.array([1, 0, 1, 0])
        history = classifier.fit(
            x, y, validation_split=0.5, validation_data=(TEXTS[:1], NAMES[:1]), verbose=0
        ).history
        assert history["val_loss"][0] == pytest.approx(held, rel=1e-4)
        whole = classifier.evaluate(TEXTS, NAMES, verbose=0)[0]
        assert history["loss"][0] == pytest.approx(whole, rel=1e-4)


# === Small calls ===


def test_small_calls_are_traced_once(make, monkeypatch):
    """Creating a pipeline would take a hundred times as long as predicting."""

    def no_pipeline(*args, **kwargs):
        raise AssertionError("a pipeline is made")

    classifier, embedder = make(TextClassifier, ["bad", "good"]), make(TextEmbedder)
    chooser, tagger = make(MultipleChoice), make(TokenClassifier, ["O", "B"])
    calls = {
        "classify": lambda n: classifier.classify(TEXTS[:n]),
        "predict": lambda n: classifier.predict(TEXTS[:n], verbose=0),
        "score": lambda n: classifier.score(TEXTS[:n], NAMES[:n]),
        "embed": lambda n: embedder.embed(TEXTS[:n]),
        "choose": lambda n: chooser.choose(TEXTS[:n], [["a", "b"]] * n),
        "score of choices": lambda n: chooser.score((TEXTS[:n], [["a", "b"]] * n), [0] * n),
        "tag": lambda n: tagger.tag(TEXTS[:n]),
    }
    monkeypatch.setattr(tf.data.Dataset, "map", no_pipeline)
    for call in calls.values():
        call(2)
    for task in (classifier, embedder, chooser, tagger):
        for traced in ("features", "word_logits"):
            monkeypatch.setattr(type(task.preprocessor), traced, no_pipeline, raising=False)
    for call in calls.values():
        call(1)
        call(4)


def test_changed_settings_are_retraced(classifier):
    long = ["good " * 20]
    first = classifier.predict(long, verbose=0)
    classifier.sequence_length = 8
    np.testing.assert_allclose(
        classifier.predict(long, verbose=0), classifier(["good " * 6]), rtol=1e-4
    )
    assert not np.allclose(first, classifier.predict(long, verbose=0))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_few_and_many_batches_agree(classifier, batch_size):
    texts = [f"a {'good ' * (i % 7)}cat {i % 3}" for i in range(20)]
    expected = classifier(texts).numpy()
    found = classifier.predict(texts, batch_size=batch_size, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


# === Several calls, and a part of the batches ===


def seen(task, fits):
    """Returns the token ids of each step of each call of `fit`."""
    found, step = [], task.train_step

    def watched(data):
        x = keras.utils.unpack_x_y_sample_weight(data)[0]
        found.append(x["token_ids"].numpy().tolist())
        return step(data)

    task.train_step = watched
    ends = [0]
    for fit in fits:
        fit()
        ends.append(len(found))
    return [found[begin:end] for begin, end in itertools.pairwise(ends)]


class LetterBatches(keras.utils.PyDataset):
    """Batches of one text."""

    def __init__(self):
        super().__init__(workers=1)

    @property
    def num_batches(self):
        return 8

    def __getitem__(self, index):
        return [LETTERS[index]], [index % 2]


LETTERS = list("abcdefgh")


@pytest.mark.parametrize("form", ["list", "PyDataset"])
def test_every_fit_has_a_new_order(classifier, form):
    """Also if each of them is one epoch: `for epoch in range(10): task.fit(x, y, epochs=1)`."""
    data = (LETTERS, [0, 1] * 4) if form == "list" else (LetterBatches(),)
    fits = [lambda: classifier.fit(*data, batch_size=1, verbose=0)] * 3
    orders = seen(classifier, fits)
    assert list(map(len, orders)) == [8] * 3
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2])
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_every_fit_has_new_masks(make):
    task = make(MaskedLM)
    task.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    text = ["the cat sees a good dog and the bad dog"] * 8
    first, second = seen(task, [lambda: task.fit(text, batch_size=8, verbose=0)] * 2)
    assert first != second


def test_every_validation_has_the_same_masks(make):
    task = make(MaskedLM)
    task.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    texts = ["the cat sees a good dog and the bad dog"] * 2
    for held_out in (Batches(texts, None), list(zip(texts, texts, strict=True))):
        history = task.fit(texts, validation_data=held_out, epochs=2, verbose=0).history
        first, second = history["val_loss"]
        assert first == second
        assert history["loss"][0] != history["loss"][1]


def test_a_part_of_the_batches_has_the_first_texts(classifier):
    """Rows are sorted by length, but those of the first `steps` batches are used."""
    texts, names = ["a", "a good red cat sees", "the bad dog", "good"], ["good", "bad"] * 2
    expected = classifier.predict(texts, verbose=0)
    found = classifier.predict(texts, batch_size=1, steps=2, verbose=0)
    np.testing.assert_allclose(found, expected[:2], atol=1e-6)
    callbacks = [keras.callbacks.Callback()]
    found = classifier.predict(texts, batch_size=1, steps=3, callbacks=callbacks, verbose=0)
    np.testing.assert_allclose(found, expected[:3], atol=1e-6)
    loss = classifier.evaluate(texts, names, batch_size=1, steps=2, verbose=0)[0]
    first = classifier.evaluate(texts[:2], names[:2], verbose=0)[0]
    assert loss == pytest.approx(first, abs=1e-6)
    history = classifier.fit(
        texts,
        names,
        validation_data=(texts, names),
        validation_steps=2,
        validation_batch_size=1,
        verbose=0,
    )
    after = classifier.evaluate(texts[:2], names[:2], verbose=0)[0]
    assert history.history["val_loss"] == pytest.approx([after], abs=1e-6)
