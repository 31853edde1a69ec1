import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import InputError, Pretrainer, TextClassifier, load
from kerasbert.training.optimizers import adamw

GOOD = ["a good cat", "the good old dog sees it", "good", "they like a good big red book"]
BAD = ["a bad cat", "the bad old dog sees it", "bad", "they like a bad big red book"]
TEXTS, NAMES, INTS = GOOD + BAD, ["good"] * 4 + ["bad"] * 4, [1] * 4 + [0] * 4
PAIRS = TEXTS[::-1]


@pytest.fixture
def classifier(tokenizer, tiny_backbone):
    keras.utils.set_random_seed(0)
    return TextClassifier(tiny_backbone(tokenizer), classes=["bad", "good"], tokenizer=tokenizer)


@pytest.fixture
def pair_classifier(tokenizer, tiny_backbone):
    return TextClassifier(tiny_backbone(tokenizer), classes=3, tokenizer=tokenizer, pair=True)


def numpy_features(task, *texts):
    return {name: value.numpy() for name, value in task.preprocessor.features(*texts).items()}


SINGLE = {
    "list": lambda: TEXTS,
    "object array": lambda: np.array(TEXTS, object),
    "unicode array": lambda: np.array(TEXTS),
    "tensor": lambda: tf.constant(TEXTS),
    "dict": lambda: {"text": TEXTS},
    "dataset": lambda: tf.data.Dataset.from_tensor_slices(TEXTS).batch(3),
    "dataset of dicts": lambda: tf.data.Dataset.from_tensor_slices({"text": TEXTS}).batch(3),
}


@pytest.mark.parametrize("make", SINGLE.values(), ids=SINGLE)
def test_predict_on_text_is_predict_on_features(classifier, make):
    expected = classifier(classifier.preprocessor.features(TEXTS), training=False).numpy()
    assert expected.shape == (8, 2)
    got = classifier.predict(make(), batch_size=3, verbose=0)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    ready = classifier.predict(numpy_features(classifier, TEXTS), verbose=0)
    np.testing.assert_allclose(ready, expected, atol=1e-5)


PAIRED = {
    "tuple": lambda: (TEXTS, PAIRS),
    "arrays": lambda: (np.array(TEXTS), np.array(PAIRS, object)),
    "dict": lambda: {"text": TEXTS, "text_pair": PAIRS},
    "dataset": lambda: tf.data.Dataset.from_tensor_slices(
        {"text": TEXTS, "text_pair": PAIRS}
    ).batch(3),
}


@pytest.mark.parametrize("make", PAIRED.values(), ids=PAIRED)
def test_predict_on_pairs(pair_classifier, make):
    expected = pair_classifier(pair_classifier.preprocessor.features(TEXTS, PAIRS)).numpy()
    assert expected.shape == (8, 3)
    got = pair_classifier.predict(make(), batch_size=3, verbose=0)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("size", [0, -1])
def test_batches_have_rows(tokenizer, tiny_backbone, size):
    task = TextClassifier(tiny_backbone(tokenizer), classes=["a", "b"], tokenizer=tokenizer)
    task.compile()
    for call in (
        lambda: task.fit(["x"], ["a"], batch_size=size, verbose=0),
        lambda: task.evaluate(["x"], ["a"], batch_size=size, verbose=0),
        lambda: task.predict(["x"], batch_size=size, verbose=0),
        lambda: task.classify(["x"], batch_size=size),
        lambda: task.score(["x"], ["a"], batch_size=size),
    ):
        with pytest.raises(InputError, match=f"batch_size must be 1 or more, found {size}"):
            call()


def test_pairs_with_a_single_segment(tokenizer, tiny_backbone, answer):
    # As in RoBERTa, with a tokenizer that separates the two texts.
    backbone = tiny_backbone(tokenizer, num_segments=1)
    task = TextClassifier(backbone, classes=2, tokenizer=tokenizer, pair=True)
    features = numpy_features(task, TEXTS, PAIRS)
    assert features["segment_ids"].any()
    expected = task({**features, "segment_ids": np.zeros_like(features["segment_ids"])}).numpy()
    np.testing.assert_allclose(task.predict((TEXTS, PAIRS), verbose=0), expected, atol=1e-5)
    found = [row["label"] for row in answer(task, text=TEXTS, text_pair=PAIRS)]
    assert found == [str(i) for i in expected.argmax(-1)]


def test_texts_do_not_change_whether_examples_are_pairs(classifier, pair_classifier):
    with pytest.raises(InputError, match="takes text and text_pair; found text alone"):
        pair_classifier.predict(TEXTS, verbose=0)
    with pytest.raises(InputError, match=r"takes text; found text and text_pair; .* pair=True"):
        classifier.predict((TEXTS, PAIRS), verbose=0)
    with pytest.raises(InputError, match="pair=True"):
        classifier.preprocessor.features(TEXTS, PAIRS)
    assert (classifier.pair, pair_classifier.pair) == (False, True)
    assert classifier.serving_signature()[0] == ("text",)


LABELLED = {
    "names": lambda: (TEXTS, NAMES),
    "array of ints": lambda: (np.array(TEXTS), np.array(INTS)),
    "dataset of names": lambda: (
        tf.data.Dataset.from_tensor_slices((TEXTS, NAMES)).batch(3),
        None,
    ),
    "dataset of ints": lambda: (
        tf.data.Dataset.from_tensor_slices(({"text": TEXTS}, INTS)).batch(3),
        None,
    ),
}


@pytest.mark.parametrize("make", LABELLED.values(), ids=LABELLED)
def test_fit_and_evaluate_agree_in_every_form(classifier, make):
    classifier.compile()
    features = numpy_features(classifier, TEXTS)
    expected = classifier.evaluate(features, np.array(INTS), verbose=0, return_dict=True)
    got = classifier.evaluate(*make(), batch_size=3, verbose=0, return_dict=True)
    assert got == pytest.approx(expected, abs=1e-5)

    logits = classifier.predict(TEXTS, verbose=0)
    scores = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    loss = -np.log(scores[np.arange(8), INTS]).mean()
    assert got["loss"] == pytest.approx(loss, abs=1e-5)
    assert got["accuracy"] == pytest.approx(np.mean(logits.argmax(-1) == INTS))

    before = [variable.numpy() for variable in classifier.trainable_variables]
    classifier.fit(*make(), batch_size=3, verbose=0)
    assert int(classifier.optimizer.iterations) == 3
    after = [variable.numpy() for variable in classifier.trainable_variables]
    assert any(np.abs(a - b).max() > 1e-6 for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(
    "make",
    [lambda: ((TEXTS, PAIRS), INTS), lambda: ({"text": TEXTS, "text_pair": PAIRS}, INTS)],
    ids=["tuple", "dict"],
)
def test_fit_on_pairs(pair_classifier, make):
    pair_classifier.compile()
    features = numpy_features(pair_classifier, TEXTS, PAIRS)
    expected = pair_classifier.evaluate(features, np.array(INTS), verbose=0)
    assert pair_classifier.evaluate(*make(), verbose=0) == pytest.approx(expected, abs=1e-5)
    pair_classifier.fit(*make(), verbose=0)


def test_fit_on_features(classifier):
    classifier.compile()
    history = classifier.fit(numpy_features(classifier, TEXTS), np.array(INTS), verbose=0)
    assert history.history.keys() == {"loss", "accuracy"}


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_unknown_label_fails(classifier, method):
    classifier.compile()
    told = "which is none of the classes bad, good$"
    with pytest.raises(InputError, match=rf"^y\[1\] is 'fair', {told}"):
        getattr(classifier, method)(["a", "b"], ["good", "fair"], verbose=0)
    with pytest.raises(InputError, match=r"^y\[0\] is 2, but indices .* go from 0 to 1$"):
        getattr(classifier, method)(["a", "b"], [2, 0], verbose=0)
    for label in ("fair", "é", 2):
        dataset = tf.data.Dataset.from_tensors((["a"], [label]))
        with pytest.raises(InputError, match=rf"^a label is '{label}', {told}"):
            getattr(classifier, method)(dataset, verbose=0)


def test_wrong_number_of_labels(classifier):
    classifier.compile()
    with pytest.raises(ValueError, match="there are 8 texts, but y has 3"):
        classifier.fit(TEXTS, [0, 1, 0], verbose=0)


def test_unbatched_dataset(classifier):
    with pytest.raises(ValueError, match="batch the dataset first"):
        classifier.predict(tf.data.Dataset.from_tensor_slices(TEXTS), verbose=0)


def first_loss(classifier, **kwargs):
    return classifier.fit(TEXTS, INTS, batch_size=8, shuffle=False, verbose=0, **kwargs).history[
        "loss"
    ][0]


def test_class_weight_and_sample_weight(classifier):
    classifier.compile(keras.optimizers.SGD(0.0))
    plain = first_loss(classifier)
    assert first_loss(classifier, class_weight={0: 2.0, 1: 2.0}) == pytest.approx(2 * plain, 1e-4)
    halves = np.array([2.0] * 4 + [0.0] * 4, "float32")
    good = classifier.evaluate(GOOD, INTS[:4], verbose=0)[0]
    assert first_loss(classifier, sample_weight=halves) == pytest.approx(good, 1e-4)
    assert first_loss(classifier, class_weight={0: 0.0, 1: 2.0}) == pytest.approx(good, 1e-4)
    both = {"sample_weight": halves, "class_weight": {0: 5.0, 1: 0.5}}
    assert first_loss(classifier, **both) == pytest.approx(good / 2, 1e-4)
    features, y = numpy_features(classifier, TEXTS), np.array(INTS)
    history = classifier.fit(features, y, verbose=0, **both).history
    assert history["loss"][0] == pytest.approx(good / 2, 1e-4)
    for x in (TEXTS, features):
        classifier.reset_metrics()
        found = classifier.train_on_batch(x, y, **both, return_dict=True)
        assert found["loss"] == pytest.approx(good / 2, 1e-4)
    weighted = classifier.evaluate(TEXTS, INTS, sample_weight=halves, verbose=0)[0]
    assert weighted == pytest.approx(good, 1e-4)


def test_validation(classifier):
    classifier.compile(keras.optimizers.SGD(0.0))
    split = classifier.fit(TEXTS, NAMES, validation_split=0.25, verbose=0).history
    last = classifier.evaluate(TEXTS[6:], NAMES[6:], verbose=0)
    assert [split["val_loss"][0], split["val_accuracy"][0]] == pytest.approx(last, abs=1e-5)
    first = classifier.evaluate(TEXTS[:6], NAMES[:6], verbose=0)
    assert split["loss"][0] == pytest.approx(first[0], abs=1e-5)
    given = classifier.fit(TEXTS, NAMES, validation_data=(TEXTS[6:], NAMES[6:]), verbose=0).history
    assert given["val_loss"][0] == pytest.approx(last[0], abs=1e-5)


def test_batches_are_as_long_as_their_longest_text(classifier):
    assert classifier.preprocessor.features(["a"])["token_ids"].shape == (1, 3)
    long = classifier.preprocessor.features(["a", "dog " * 100])
    assert long["token_ids"].shape == (2, 24)
    alone = classifier.predict(["good"], verbose=0)
    among = classifier.predict(["good", "dog " * 100], verbose=0)
    np.testing.assert_allclose(alone[0], among[0], atol=1e-5)


def test_learns_one_word(classifier):
    classifier.compile(adamw(1e-2))
    classifier.fit(TEXTS * 8, NAMES * 8, batch_size=8, epochs=4, verbose=0)
    assert classifier.evaluate(TEXTS, NAMES, verbose=0, return_dict=True)["accuracy"] == 1.0
    unseen = classifier.predict(["the good old river", "the bad old river"], verbose=0)
    np.testing.assert_array_equal(unseen.argmax(-1), [1, 0])


@pytest.mark.parametrize("classes", [["a"], ["a", "a"], 1, None, []])
def test_bad_classes(tokenizer, tiny_backbone, classes):
    with pytest.raises(InputError, match="classes"):
        TextClassifier(tiny_backbone(tokenizer), classes=classes)


@pytest.mark.parametrize("length", [3, 25])
def test_bad_sequence_length(tokenizer, tiny_backbone, length):
    with pytest.raises(InputError, match=rf"sequence_length must be in \[4, 24\], found {length}"):
        TextClassifier(tiny_backbone(tokenizer), classes=2, sequence_length=length)


def test_tokenizer_of_another_size(tokenizer, tiny_backbone, vocabulary):
    backbone = tiny_backbone(tokenizer)
    with pytest.raises(InputError, match=r"the tokenizer has .* tokens, the backbone"):
        TextClassifier(backbone, classes=2, tokenizer=type(tokenizer)([*vocabulary, "more"]))
    fewer = TextClassifier(backbone, classes=2, tokenizer=type(tokenizer)(vocabulary[:-1]))
    assert fewer.predict(TEXTS, verbose=0).shape == (8, 2)


def test_without_tokenizer(tokenizer, tiny_backbone):
    task = TextClassifier(tiny_backbone(tokenizer), classes=2)
    assert task.predict(np.ones((2, 5), "int32"), verbose=0).shape == (2, 2)
    with pytest.raises(InputError, match="has no tokenizer"):
        task.predict(TEXTS, verbose=0)


# === Directories and files ===


def test_round_trip(classifier, tmp_path):
    expected = classifier.predict(TEXTS, verbose=0)
    classifier.save_to_preset(tmp_path / "model")
    for loaded in (load(tmp_path / "model"), TextClassifier.from_preset(tmp_path / "model")):
        assert isinstance(loaded, TextClassifier)
        assert (loaded.classes, loaded.pair) == (["bad", "good"], False)
        np.testing.assert_allclose(loaded.predict(TEXTS, verbose=0), expected, atol=1e-6)


def test_same_classes_in_another_form_keep_the_head(classifier, tmp_path):
    expected = classifier.predict(TEXTS, verbose=0)
    classifier.save_to_preset(tmp_path / "model")
    loaded = TextClassifier.from_preset(tmp_path / "model", classes=("bad", "good"))
    np.testing.assert_allclose(loaded.predict(TEXTS, verbose=0), expected, atol=1e-6)


def test_other_classes_make_a_new_head(classifier, tmp_path):
    classifier.save_to_preset(tmp_path / "model")
    loaded = TextClassifier.from_preset(tmp_path / "model", classes=["x", "y", "z"])
    with pytest.warns(UserWarning, match="random and not trained since: classifier/kernel, "):
        assert loaded.predict(TEXTS, verbose=0).shape == (8, 3)
    for ours, theirs in zip(loaded.backbone.weights, classifier.backbone.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_from_a_pretrainer(tokenizer, tiny_backbone, tmp_path):
    pretrainer = Pretrainer(tiny_backbone(tokenizer), tokenizer=tokenizer, sequence_length=16)
    pretrainer.save_to_preset(tmp_path / "model")
    classifier = TextClassifier.from_preset(tmp_path / "model", classes=["a", "b", "c"])
    assert classifier.sequence_length == 16
    for ours, theirs in zip(classifier.backbone.weights, pretrainer.backbone.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)
    kernel = classifier.get_layer("classifier").kernel
    assert kernel.shape == (16, 3)
    with pytest.raises(InputError, match="needs classes"):
        TextClassifier.from_preset(tmp_path / "model")


def test_another_vocabulary_is_refused(classifier, tmp_path):
    classifier.save_to_preset(tmp_path / "model")
    path = tmp_path / "model" / "vocab.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("\ncat\n", "\nhen\n"), "utf-8")
    with pytest.raises(
        InputError, match=r"vocab\.txt: not the vocabulary of the tokenizer's config"
    ):
        TextClassifier.from_preset(tmp_path / "model")


def test_saved_config_is_readable(classifier, tokenizer, tmp_path):
    classifier.save_to_preset(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["task"] == "TextClassifier"
    assert config["head"]["classes"] == ["bad", "good"]
    assert config["tokenizer"]["vocabulary_sha256"] == tokenizer.vocabulary_sha256


def test_keras_file(classifier, tmp_path):
    classifier.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.classes == ["bad", "good"]
    expected = classifier.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(loaded.predict(TEXTS, verbose=0), expected, atol=1e-6)


def test_keras_file_keeps_the_compilation(classifier, tmp_path):
    classifier.compile(adamw(1e-3))
    classifier.fit(TEXTS[:2], ["good", "bad"], verbose=0)
    classifier.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate) == pytest.approx(1e-3)
    loaded.fit(TEXTS, NAMES, verbose=0)
