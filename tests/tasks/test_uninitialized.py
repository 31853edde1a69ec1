"""Weights that `from_preset` initialized at random: answers warn until they are trained."""

import keras
import numpy as np
import pytest

import kerasbert
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
    checkpoints,
    files,
    lazy,
    loading,
)
from kerasbert.distillation import Distiller, student_from
from kerasbert.errors import UninitializedWeightsWarning
from kerasbert.serving import Encoder, SavedModelClient
from kerasbert.tasks import runtime_export
from kerasbert.tasks.uninitialized import frozen_at_random
from kerasbert.training.loop import _build, _check_monitor

TEXTS, LABELS = ["a good cat", "the bad dog"], ["good", "bad"]
HEAD = ["classifier/kernel", "classifier/bias"]
CLASSES = {"classes": ["bad", "good"]}

#: A task, arguments, a call that answers, and the first part of a random weight's path.
ANSWERS = {
    "classify": (TextClassifier, CLASSES, lambda task: task.classify(TEXTS), "classifier"),
    "score": (TextClassifier, CLASSES, lambda task: task.score(TEXTS, LABELS), "classifier"),
    "predict": (TextClassifier, CLASSES, lambda task: task.predict(TEXTS, verbose=0), "classifier"),
    "evaluate": (TextClassifier, CLASSES, lambda task: evaluated(task), "classifier"),
    "features": (
        TextClassifier,
        CLASSES,
        lambda task: task.predict(task.preprocessor(TEXTS), verbose=0),
        "classifier",
    ),
    "predict_on_batch": (
        TextClassifier,
        CLASSES,
        lambda task: task.predict_on_batch(task.preprocessor(TEXTS)),
        "classifier",
    ),
    "fill_mask": (MaskedLM, {}, lambda task: task.fill_mask(["a [MASK] cat"]), "mlm_head"),
    "fill_mask of a pretrainer": (
        Pretrainer,
        {},
        lambda task: task.fill_mask(["a [MASK] cat"]),
        "mlm_head",
    ),
    "perplexity": (MaskedLM, {}, lambda task: task.score(TEXTS), "mlm_head"),
    "tag": (TokenClassifier, CLASSES, lambda task: task.tag(TEXTS), "token_classifier"),
    "answer": (QuestionAnswerer, {}, lambda task: task.answer(["who"], TEXTS[:1]), "span_head"),
    "choose": (MultipleChoice, {}, lambda task: task.choose(["a"], [TEXTS]), "choice_head"),
    "detect": (
        ReplacedTokenDetector,
        {},
        lambda task: task.predict(TEXTS, verbose=0),
        "rtd_hidden",
    ),
}


def evaluated(task):
    task.compile()
    return task.evaluate(TEXTS, LABELS, verbose=0)


@pytest.fixture(scope="module")
def backbone(tiny_backbone, tokenizer):
    return tiny_backbone(tokenizer, pooler=True)


@pytest.fixture(scope="module")
def encoder(backbone, tokenizer, tmp_path_factory):
    directory = tmp_path_factory.mktemp("encoder") / "model"
    backbone.save_to_preset(directory, tokenizer=tokenizer)
    return directory


@pytest.fixture(scope="module")
def without_pooler(tiny_backbone, tokenizer, tmp_path_factory):
    directory = tmp_path_factory.mktemp("encoder") / "without_pooler"
    tiny_backbone(tokenizer, pooler=False).save_to_preset(directory, tokenizer=tokenizer)
    return directory


@pytest.fixture
def classifier(encoder):
    return TextClassifier.from_preset(encoder, **CLASSES)


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_of_a_random_head_warn_once(encoder, name):
    kind, arguments, answer, layer = ANSWERS[name]
    task = kind.from_preset(encoder, **arguments)
    message = rf"^{task.name}: its answers depend on weights that were initialized at random .*"
    with pytest.warns(UninitializedWeightsWarning, match=f"{message}{layer}/") as warned:
        answer(task)
    (warning,) = warned
    assert "train it first (fit, or kerasbert finetune), or load a ch" in str(warning.message)
    assert warning.filename == __file__
    answer(task)  # without a warning, which would be an error


@pytest.mark.parametrize(
    "train",
    [
        lambda task, other: (task.compile(), task.fit(TEXTS, LABELS, verbose=0)),
        lambda task, other: (task.compile(), task.train_on_batch(TEXTS, LABELS)),
        lambda task, other: task.set_weights(other.get_weights()),
        lambda task, other: task.get_layer("classifier").bias.assign([1.0, 2.0]),
    ],
    ids=["fit", "train_on_batch", "set_weights", "assign"],
)
def test_trained_weights_are_not_uninitialized(classifier, encoder, train):
    assert classifier.uninitialized_weights == HEAD
    train(classifier, TextClassifier.from_preset(encoder, **CLASSES))
    assert classifier.uninitialized_weights == []
    classifier.classify(TEXTS)


def test_weights_from_a_file_are_not_uninitialized(classifier, encoder, tmp_path):
    other = TextClassifier.from_preset(encoder, **CLASSES)
    other.save_weights(tmp_path / "random.weights.h5")
    classifier.load_weights(tmp_path / "random.weights.h5")
    assert classifier.uninitialized_weights == []


def test_training_does_not_warn(classifier):
    classifier.compile()
    classifier.fit(TEXTS, LABELS, validation_data=(TEXTS, LABELS), verbose=0)


def test_a_search_for_the_metric_to_monitor_does_not_warn(classifier):
    classifier.compile()
    _build(
        classifier, classifier.preprocessor.training_batches(TEXTS, LABELS, batch_size=2, seed=1)
    )
    _check_monitor(classifier, "val_macro_f1", lambda: classifier.score(TEXTS, LABELS))


def test_a_frozen_head_stays_uninitialized(classifier):
    classifier.freeze(names=["classifier"])
    classifier.compile()
    classifier.fit(TEXTS, LABELS, verbose=0)
    with pytest.warns(UninitializedWeightsWarning, match="classifier/kernel, classifier/bias;"):
        classifier.classify(TEXTS)


def test_random_weights_that_training_would_leave(without_pooler):
    task = TextClassifier.from_preset(without_pooler, **CLASSES)
    assert frozen_at_random(task) == []
    task.freeze(names=["pooler"])
    assert frozen_at_random(task) == ["pooler/dense/kernel", "pooler/dense/bias"]
    task.trainable = True
    task.freeze(names=["classifier/kernel"])  # the bias is trained
    assert frozen_at_random(task) == []


def test_a_saved_model_knows_its_random_weights(classifier, tmp_path):
    classifier.save_to_preset(tmp_path / "random")
    assert "random weights, not trained" in (tmp_path / "random" / "README.md").read_text()
    assert files.read_json(tmp_path / "random" / "config.json")["uninitialized"] == HEAD
    loaded = TextClassifier.from_preset(tmp_path / "random")
    assert loaded.uninitialized_weights == HEAD
    for load in (kerasbert.load, lambda path: loading.load_task(path, TextClassifier)):
        with pytest.raises(
            InputError,
            match="random: holds random weights classifier/kernel, "
            "classifier/bias, which training has not changed; train them "
            r"\(kerasbert finetune --init",
        ):
            load(tmp_path / "random")
    with pytest.warns(UninitializedWeightsWarning):
        loaded.classify(TEXTS)
    loaded.compile()
    loaded.fit(TEXTS, LABELS, verbose=0)
    loaded.save_to_preset(tmp_path / "trained")
    assert "uninitialized" not in files.read_json(tmp_path / "trained" / "config.json")
    kerasbert.load(tmp_path / "trained").classify(TEXTS)


def test_a_keras_file_knows_its_random_weights(classifier, tmp_path):
    classifier.save(tmp_path / "random.keras")
    loaded = keras.models.load_model(tmp_path / "random.keras")
    assert loaded.uninitialized_weights == HEAD
    clone = TextClassifier.from_config(loaded.get_config())  # with other random values
    assert clone.uninitialized_weights == []
    loaded.get_layer("classifier").bias.assign([1.0, 2.0])
    loaded.save(tmp_path / "trained.keras")
    assert keras.models.load_model(tmp_path / "trained.keras").uninitialized_weights == []
    assert "uninitialized" not in loaded.get_config()


@pytest.mark.parametrize("marks", [5, ["classifier/bias"], [["classifier/bias", "x"]], [[]]])
def test_a_damaged_keras_file_is_refused(classifier, marks):
    config = {**classifier.get_config(), "uninitialized": marks}
    with pytest.raises(InputError, match=r"^the config of TextClassifier: uninitialized.* must "):
        TextClassifier.from_config(config)


def test_other_formats_warn(classifier, tmp_path):
    with pytest.warns(UninitializedWeightsWarning, match="saved as 'hf', nothing says that it"):
        classifier.save_to_preset(tmp_path / "hf", format="hf")
    assert "random weights, not trained" in (tmp_path / "hf" / "README.md").read_text()


def test_exports_warn(classifier, tmp_path):
    with pytest.warns(UninitializedWeightsWarning, match="its export depends on"):
        classifier.export(tmp_path / "opinions" / "1", check=False)
    with pytest.warns(UninitializedWeightsWarning, match="1: what it answers depends on .*kernel"):
        client = SavedModelClient(tmp_path / "opinions")
    assert client(text=["a cat"])


@pytest.mark.parametrize("format", ["onnx", "openvino", "litert"])
def test_exports_for_other_runtimes_warn(classifier, tmp_path, monkeypatch, format):
    """The encoder, which all of them need, has the mark; the model's format does not matter."""
    monkeypatch.setitem(runtime_export._WRITERS, format, lambda *_: None)
    monkeypatch.setattr(lazy, "extra", lambda *_: None)
    with pytest.warns(UninitializedWeightsWarning, match="its export depends on"):
        classifier.export(tmp_path / format, format=format, check=False)
    with pytest.warns(UserWarning, match=f"{format}: what the model answers depends .*kernel, "):
        encoder = Encoder(tmp_path / format)
    assert encoder(text=["a cat"])["token_ids"].size


# === Poolers ===


def test_a_new_pooler_counts_if_it_is_used(without_pooler):
    task = TextClassifier.from_preset(without_pooler, **CLASSES)
    assert task.uninitialized_weights == ["pooler/dense/kernel", "pooler/dense/bias", *HEAD]
    task.get_layer("classifier").bias.assign([1.0, 2.0])
    with pytest.warns(UninitializedWeightsWarning, match="pooler/dense/kernel, pooler/dense/bias;"):
        task.classify(TEXTS)


def test_an_unused_pooler_does_not_count(without_pooler, tmp_path):
    task = TextEmbedder.from_preset(without_pooler, backbone={"pooler": True})
    task.embed(TEXTS)
    pooler = ["pooler/dense/kernel", "pooler/dense/bias"]
    assert task.uninitialized_weights == pooler
    task.save_to_preset(tmp_path / "embedder")
    kerasbert.load(tmp_path / "embedder").embed(TEXTS)
    other = TextClassifier.from_preset(tmp_path / "embedder", **CLASSES)
    assert other.uninitialized_weights == [*pooler, *HEAD]


def test_an_embedder_has_no_head(encoder):
    TextEmbedder.from_preset(encoder).embed(TEXTS)


# === Models made of others ===


def test_constructors_make_random_models_as_in_keras(backbone, tokenizer):
    task = TextClassifier(backbone, ["bad", "good"], tokenizer=tokenizer)
    assert task.uninitialized_weights == []
    task.classify(TEXTS)


def test_copies_stay_uninitialized(classifier):
    more = classifier.add_tokens(["[E1]"])
    assert more.uninitialized_weights == HEAD
    student = student_from(classifier, num_layers=1)
    assert student.uninitialized_weights == HEAD
    classifier.quantize("int8")
    assert set(classifier.uninitialized_weights) == set(HEAD)


def test_a_random_teacher_warns(classifier):
    with pytest.warns(UninitializedWeightsWarning, match="what it teaches depends on"):
        Distiller(classifier, student_from(classifier, num_layers=1))


# === Without a tokenizer ===


@pytest.mark.parametrize(
    ("format", "reason"),
    [
        ("kerasbert", "the model was saved without a tokenizer"),
        ("hf", r"has no tokenizer \(vocab.txt; vocab.json and merges.txt; .*; tokenizer.json\)"),
        ("google", r"has no tokenizer \(vocab.txt; vocab.json and merges.txt; .*\)"),
    ],
)
def test_text_without_a_tokenizer(tiny_backbone, tokenizer, tmp_path, format, reason):
    backbone = tiny_backbone(tokenizer, pooler=True, activation="gelu_tanh")
    task = TextEmbedder(backbone) if format == "kerasbert" else backbone
    task.save_to_preset(tmp_path / "model", format=format)
    task = TextEmbedder.from_preset(tmp_path / "model")
    assert task.predict({"token_ids": np.array([[2, 5, 3]])}, verbose=0).shape == (1, 16)
    message = (
        f"^text_embedder takes features but no text: .*model: {reason}; put the tokenizer's files "
        "there, or give from_preset its tokenizer=$"
    )
    for ask in (task.embed, task.predict, task, lambda texts: task.search(texts, np.ones((1, 16)))):
        with pytest.raises(InputError, match=message):
            ask(TEXTS)
    if format == "kerasbert":
        with pytest.raises(InputError, match=message):
            loading.load_task(tmp_path / "model", TextEmbedder)
    given = TextEmbedder.from_preset(tmp_path / "model", tokenizer=tokenizer)
    given.embed(TEXTS)


# === What saving returns ===


def test_saved_weights_show_as_one_line(classifier, backbone, tmp_path):
    names = backbone.save_to_preset(tmp_path / "hf", format="hf")
    assert repr(names) == f"<{len(backbone.weights)} weights saved in {tmp_path / 'hf'}>"
    assert names["pooler/dense/bias"] == "pooler.dense.bias"
    assert isinstance(names, checkpoints.SavedWeights)
    assert dict(classifier.save_to_preset(tmp_path / "model"))["classifier/bias"] == HEAD[1]
