"""Wrong arguments of tasks: one line that names what is wrong, no error from inside Keras."""

import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import (
    BackboneConfig,
    InputError,
    MaskedLM,
    MultipleChoice,
    QuestionAnswerer,
    ReplacedTokenDetector,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
)

TEXTS = ["a good cat", "the bad dog", "good"]
WORDS = [["a", "cat"], ["the", "bad", "dog"], ["it"]]
ASKED = {"question": ["who", "red"], "context": ["a cat runs", "the dog sees"]}
CHOICES = {"text": ["a", "the"], "choices": [["cat", "dog"], ["dog", "cat"]]}


@pytest.fixture(scope="module")
def tasks(tiny_backbone, tokenizer):
    """Returns one compiled model of each task."""

    def make(task, *args, **options):
        made = task(tiny_backbone(tokenizer), *args, tokenizer=tokenizer, **options)
        made.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        return made

    return types.SimpleNamespace(
        classifier=make(TextClassifier, ["bad", "good"]),
        pairs=make(TextClassifier, ["bad", "good"], pair=True),
        topics=make(TextClassifier, ["a", "b"], problem_type="multi_label_classification"),
        rating=make(TextClassifier, problem_type="regression"),
        tagger=make(TokenClassifier, ["O", "B"]),
        answerer=make(QuestionAnswerer),
        choices=make(MultipleChoice),
        embedder=make(TextEmbedder),
        masked=make(MaskedLM),
        detector=make(ReplacedTokenDetector),
    )


def refused(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# === Labels ===


@pytest.mark.parametrize(
    ("task", "x"),
    [
        ("classifier", TEXTS),
        ("pairs", (TEXTS, TEXTS)),
        ("topics", TEXTS),
        ("rating", TEXTS),
        ("tagger", WORDS),
        ("answerer", ASKED),
        ("choices", CHOICES),
    ],
)
def test_no_labels(tasks, task, x):
    task = getattr(tasks, task)
    message = "the examples have no labels; y takes them, one for each example"
    for method in (task.fit, task.evaluate, task.train_on_batch, task.test_on_batch):
        refused(lambda method=method: method(x), message)
    refused(lambda: task.score(x, None), message)
    refused(lambda: task.fit(iter([(x,)]), steps_per_epoch=1), message)


def test_no_labels_of_other_examples(tasks):
    task = tasks.classifier
    features = {k: v.numpy() for k, v in task.preprocessor(TEXTS).items()}
    refused(lambda: task.fit(features), "the examples have no labels")
    refused(lambda: task.fit(features["token_ids"]), "the examples have no labels")
    refused(lambda: task.fit([[2, 5, 3], [2, 6, 3]]), "the examples have no labels")
    for x in (TEXTS, features):
        dataset = tf.data.Dataset.from_tensor_slices(x).batch(2)
        refused(
            lambda dataset=dataset: task.fit(dataset), r"elements of the dataset must be \(x, y"
        )
    y = ["good", "bad", "good"]
    for data in (TEXTS, (TEXTS,), (features,)):
        refused(
            lambda data=data: task.fit(TEXTS, y, validation_data=data),
            "the validation_data have no labels",
        )
    tasks.masked.fit(TEXTS, verbose=0)  # makes its own


@pytest.mark.parametrize("name", ["masked", "detector"])
def test_features_without_labels(tasks, name):
    """Also of a task that makes the labels of texts itself."""
    task = getattr(tasks, name)
    features = {k: v.numpy() for k, v in task.preprocessor.features(TEXTS).items()}
    for method in (task.fit, task.evaluate, task.train_on_batch, task.test_on_batch):
        refused(lambda method=method: method(features), "the examples have no labels")
    refused(lambda: task.fit(iter([features])), "the examples have no labels")
    dataset = tf.data.Dataset.from_tensors(features)
    refused(lambda: task.fit(dataset), r"elements of the dataset must be \(x, y\)")


def test_a_detector_needs_labels_of_tokens(tasks):
    refused(lambda: tasks.detector.fit(TEXTS), "the examples have no labels")
    refused(lambda: tasks.detector.score(TEXTS, None), "has no official metrics")


def test_labels_beside_a_dataset(tasks):
    """They are in the dataset, and would be ignored."""
    task, y = tasks.classifier, ["good", "bad", "good"]
    dataset = tf.data.Dataset.from_tensors((TEXTS, y))
    for call in (
        lambda: task.fit(dataset, y),
        lambda: task.fit(dataset, sample_weight=[1.0, 2.0, 3.0]),
        lambda: task.evaluate(dataset, y),
        lambda: task.fit(TEXTS, y, validation_data=(dataset, y)),
        lambda: tasks.masked.fit(dataset.map(lambda x, y: x), sample_weight=[1.0, 2.0, 3.0]),
    ):
        refused(call, "a tf.data.Dataset brings its labels and weights")


def test_class_weight_beside_weights_of_a_dataset(tasks):
    dataset = tf.data.Dataset.from_tensors((TEXTS, [0, 1, 0], [1.0, 2.0, 3.0]))
    refused(
        lambda: tasks.classifier.fit(dataset, class_weight={"good": 2.0}),
        "the dataset has weights, so it takes no class_weight",
    )


def test_no_backbone():
    config = BackboneConfig.from_preset("bert_tiny", vocabulary_size=10)
    for wrong in ("bert_tiny", pathlib.Path("runs/model"), config):
        for make in (
            lambda wrong=wrong: TextClassifier(wrong, 2),
            lambda wrong=wrong: MaskedLM(backbone=wrong),
        ):
            refused(make, "backbone must be a Backbone, found .*from_preset loads a model")


def test_labels_of_a_part(tasks):
    fit = tasks.classifier.fit
    refused(lambda: fit(TEXTS, ["good"], validation_split=0.4), "are 3 texts, but y has 1")
    refused(lambda: fit(TEXTS, {"good": 1}, validation_split=0.4), "good must be a list, one for")
    squad = {"text": [["cat"], ["dog"]] * 2, "answer_start": [[2], [4]] * 2}
    x = {name: column * 2 for name, column in ASKED.items()}
    history = tasks.answerer.fit(x, squad, validation_split=0.5, verbose=0)
    assert "val_loss" in history.history


@pytest.mark.parametrize(
    ("task", "x", "y", "message"),
    [
        (
            "tagger",
            WORDS,
            ["O", "B", "O"],
            r"y\[0\] must be a list of labels, one for each word, f",
        ),
        (
            "tagger",
            WORDS,
            [0, 1, 0],
            r"y\[0\] must be a list of labels, one for each word, found 0",
        ),
        ("tagger", WORDS, [["O", "B"], ["O"], ["O"]], "sentence 1 has 3 words, but 1 in y"),
        ("tagger", WORDS, [["O", None], ["O"] * 3, ["O"]], r"y\[0\]\[1\] is missing"),
        ("topics", TEXTS, [0, 1, 0], "y must be lists of names, or 0 and 1 for each of the 2"),
        ("topics", TEXTS, [["a"], None, []], r"y\[1\] must be a list of class names, found None"),
        ("rating", TEXTS, ["3", "2", "1"], r"y\[0\] must be a number, found '3'"),
        ("rating", TEXTS, [1.0, None, 2.0], r"y\[1\] must be a number, found None"),
        ("answerer", ASKED, [1, 2], r"y\[0\] must be an answer"),
        ("answerer", ASKED, {"text": ["a", "b"], "answer_start": [1]}, "labels differ in length"),
        ("choices", CHOICES, [0.5, 1], r"y\[0\] is 0.5, which is none of its choices"),
        ("choices", CHOICES, [None, 1], r"y\[0\] is None, which is none of its choices"),
        ("classifier", TEXTS, {"good": 1}, "y must be one label for each example, found a dict"),
        ("choices", CHOICES, np.eye(2), r"y\[0\] is array.* none of its choices"),
        ("classifier", TEXTS, np.int64(1), "there are 3 texts, but y has 1"),
    ],
)
def test_wrong_labels(tasks, task, x, y, message):
    refused(lambda: getattr(tasks, task).fit(x, y, verbose=0), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"sample_weight": np.ones((3, 2))},
            r"one number for each example, found the shape \(3, 2",
        ),
        ({"sample_weight": [1.0, None, 1.0]}, r"sample_weight\[1\] must be a number, found None"),
        ({"sample_weight": [1.0]}, "there are 3 texts, but sample_weight has 1"),
        ({"validation_split": "0.5"}, "validation_split must be between 0 and 1, found 0.5"),
        ({"validation_data": (None, None)}, r"validation_data must be \(x, y\) or \(x, y, sample"),
        ({"validation_data": (TEXTS, [0] * 3, None, 1)}, r"validation_data must be \(x, y\) or"),
        ({"batch_size": "8"}, r"batch_size must be a whole number, found '8' \(str\)"),
    ],
)
def test_wrong_arguments(tasks, arguments, message):
    refused(lambda: tasks.classifier.fit(TEXTS, [0, 1, 0], verbose=0, **arguments), message)


def test_a_column_of_choices(tasks):
    y = tasks.choices.preprocessor.labels(np.array([[1], [0]]), CHOICES)
    assert y.tolist() == [1, 0]


# === Texts ===


class Loader:
    """Yields batches of any kind, as a `torch.utils.data.DataLoader` does."""

    def __len__(self):
        return 1

    def __iter__(self):
        return iter([TEXTS])


def test_a_view_is_text(tasks):
    texts = dict(enumerate(TEXTS)).values()
    assert tasks.classifier.predict(texts, verbose=0).shape == (3, 2)


@pytest.mark.parametrize(
    ("task", "x", "message"),
    [
        ("classifier", None, "takes text; found None"),
        ("classifier", 5, r"text\[0\] must be a string, found 5"),
        ("classifier", [1, 2], r"text\[0\] must be a string, found 1"),
        ("classifier", range(3), r"text\[0\] must be a string, found 0"),
        ("classifier", Loader(), r"Loader object at .* \(Loader\); convert it to a list"),
        ("classifier", ["a", float("nan")], r"text\[1\] is missing"),
        ("embedder", [None, "a"], r"text\[0\] is missing"),
        ("masked", ["a", 3], r"text\[1\] must be a string"),
        ("tagger", [["a", None]], r"words\[0\]\[1\] is missing"),
        ("pairs", [("a", "b"), ("c",)], r"2 strings each; .*row 1 is \['c'\]"),
        ("pairs", [("a", "b"), "c"], "row 1 is 'c'"),
        ("pairs", [("a", None)], r"text_pair\[0\] is missing"),
    ],
)
def test_wrong_texts(tasks, task, x, message):
    refused(lambda: getattr(tasks, task).predict(x, verbose=0), message)


def test_negatives_are_for_training(tasks):
    texts = {"text": TEXTS, "text_pair": TEXTS, "text_negative": TEXTS}
    refused(lambda: tasks.embedder.predict(texts), "predicts single texts; embed takes pairs too")


def test_one_of_two_columns(tasks):
    answer, choose = tasks.answerer.answer, tasks.choices.choose
    refused(lambda: answer(None, ["a"]), "question must be a list of strings, found None")
    refused(lambda: answer(["a"], None), "context must be a list of strings, found None")
    refused(lambda: answer(["a"], ["b", "c"]), "question has 1 rows, but context has 2")
    refused(lambda: answer("a", ["b"]), "question is one string, but context is a column")
    refused(lambda: choose(None, [["a"]]), "text must be a list of strings, found None")
    refused(lambda: choose(["a"], ["b"]), r"choices\[0\] must be a list of strings, found 'b'")


def test_frames(tasks):
    pandas = pytest.importorskip("pandas")
    labels = ["good", "bad", "good"]
    frame = pandas.DataFrame({"stars": [5, 1, 4], "kind": labels, "review": TEXTS, "title": TEXTS})
    fit = tasks.classifier.fit
    refused(
        lambda: fit(frame, labels),
        r'takes text; found stars and .*; pass the column of texts, such as df\["review"\]$',
    )
    refused(
        lambda: tasks.pairs.predict(frame),
        r'in a dict, such as \{"text": df\["review"\], "text_pair": df\["title"\]\}$',
    )
    refused(
        lambda: tasks.pairs.predict(frame[["stars", "kind"]]), "takes text and text_pair; found"
    )
    refused(lambda: fit({"review": TEXTS}, labels), r'such as x\["review"\]$')
    refused(lambda: fit(frame["review"].where(frame["stars"] > 1), labels), r"text\[1\] is missing")
    refused(lambda: fit(TEXTS, frame[["stars", "kind"]]), "must be one column, .*to_numpy")
    message = r'question must be a list of strings, found a table of .*; pass .* df\["review"\]$'
    refused(lambda: tasks.answerer.answer(frame, TEXTS), message)
    assert len(tasks.answerer.answer(frame[["review"]], TEXTS)) == 3


def test_invalid_utf8(tasks):
    text = b"a \xff cat"
    assert len(tasks.classifier.classify([text])) == 1
    assert tasks.answerer.answer([text], [text])[0][0].text in "a \ufffd cat"
    assert [word.word for word in tasks.tagger.tag([text])[0]] == ["a", "\ufffd", "cat"]
    assert tasks.choices.choose([text], [[b"\xff"]])[0].text == "\ufffd"
    assert len(tasks.masked.fill_mask([b"[MASK] \xff"])[0][0]) == 5
    assert tasks.embedder.embed([text]).shape == (1, 16)


# === Numbers of results, and embeddings ===


@pytest.mark.parametrize("wrong", ["3", 2.5, None, True, [1]])
def test_counts(tasks, wrong):
    for name, call in {
        "top_k": lambda: tasks.masked.fill_mask(["a [MASK]"], top_k=wrong),
        "n_best": lambda: tasks.answerer.answer(["a"], ["a cat"], n_best=wrong),
        "batch_size": lambda: tasks.classifier.classify(["a"], batch_size=wrong or "x"),
    }.items():
        refused(call, f"{name} must be a whole number, found ")
    corpus = np.ones((3, 16))
    refused(lambda: tasks.embedder.search(["a"], corpus, wrong), "top_k must be a whole number")


def test_more_results_than_there_are(tasks, tokenizer):
    (guesses,) = tasks.masked.fill_mask(["a [MASK]"], top_k=10**6)[0]
    assert len(guesses) == tokenizer.vocabulary_size
    assert len(tasks.answerer.answer(["a"], ["a cat"], n_best=100)[0]) == 3
    assert tasks.embedder.search(["a"], np.ones((3, 16)), 10)[1].shape == (1, 3)


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        (TEXTS, r"found texts .*search\(queries, model.embed\(texts\)\)"),
        (np.array(TEXTS), "found texts"),
        ("a", r"of the shape \(texts, 16\); found str"),
        (np.ones((3, 8)), r"of the shape \(texts, 16\); found \(3, 8\)"),
        (np.ones(16), r"found \(16,\)"),
        (np.ones((3, 2, 16)), r"found \(3, 2, 16\)"),
        ([[1.0], [1.0, 2.0]], "found list"),
        ([], r"found \(0,\)"),
        (None, "found NoneType"),
    ],
)
def test_wrong_corpora(tasks, corpus, message):
    refused(lambda: tasks.embedder.search(["a"], corpus), message)


def test_wrong_queries(tasks):
    corpus = np.ones((3, 16))
    refused(lambda: tasks.embedder.search(["a"], corpus, 0), "top_k must be 1 or more, found 0")
    refused(lambda: tasks.embedder.search((TEXTS, TEXTS), corpus), "search takes text; found")
    refused(lambda: tasks.embedder.search(corpus, corpus), r"text\[0\]|search takes text")


def test_wrong_targets(tasks):
    for targets, message in ((5, "found 5"), (["cat", None], "found None"), ([b"cat"], "found b'")):
        refused(
            lambda targets=targets: tasks.masked.fill_mask(["a [MASK]"], targets=targets),
            f"targets must be strings, {message}",
        )
    assert tasks.masked.fill_mask(["a [MASK]"], targets={"cat"})[0][0][0].token == "cat"


# === Tokenizers ===


def test_tokenizers(tokenizer):
    for text, message in (
        (["a", None], r"texts\[1\] must be a string, found None"),
        ([1, 2], r"texts\[0\] must be a string, found 1"),
        (np.ones(3), "texts must be a list of strings, found array"),
        (None, "texts must be a list of strings, found None"),
        ("a cat", r"must have the shape \(batch,\), found \(\); put the string in a list"),
        ([["a"]], r"must have the shape \(batch,\), found \(1, 1\)"),
    ):
        refused(lambda text=text: tokenizer(text), message)
