import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import InputError, ReplacedTokenDetector, load
from kerasbert.serving.client import SavedModelClient
from kerasbert.training.optimizers import adamw

TEXTS = ["the cat runs and the bad dog", "a bad house", "it is good", "they read a bad book"]


def examples(task, texts):
    """Features, and labels that mark one word as replaced."""
    features = {name: value.numpy() for name, value in task.preprocessor.features(texts).items()}
    labels = features["token_ids"] == task.tokenizer.token_to_id("bad")
    return features, labels.astype("int32"), features["padding_mask"].astype("float32")


@pytest.fixture(scope="module")
def task(tokenizer, tiny_backbone):
    task = ReplacedTokenDetector(tiny_backbone(tokenizer, pooler=False), tokenizer=tokenizer)
    task.compile(adamw(1e-2))
    features, labels, weights = examples(task, TEXTS)
    task.fit(features, labels, sample_weight=weights, epochs=40, verbose=0)
    return task


@pytest.fixture(scope="module")
def client(task, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "1"
    task.export(directory, check=False)
    return SavedModelClient(directory)


def test_shapes(task):
    assert task.predict(["a cat", "x"], verbose=0).shape == (2, 4)


def test_batches_of_other_lengths(task):
    """A dataset and a generator give the array that a list gives, where texts have tokens."""
    listed = task.predict(TEXTS, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(1)
    for batches in (dataset, ([text] for text in TEXTS)):
        logits = task.predict(batches, steps=len(TEXTS), verbose=0)
        assert (type(logits), logits.dtype) == (np.ndarray, np.float32)
        assert logits.shape == listed.shape
        real = examples(task, TEXTS)[0]["padding_mask"] > 0
        np.testing.assert_allclose(logits[real], listed[real], atol=1e-5)


def test_learns(client):
    (row,) = client(text=["the bad river and a bad cat"])
    found = [
        token for token, score in zip(row["tokens"], row["scores"], strict=True) if score > 0.5
    ]
    assert found == ["bad", "bad"]


def test_rows_are_padded(client):
    short, long, empty = client(text=["a dog", "word " * 100, ""])
    assert short["tokens"][:4] == ["[CLS]", "a", "dog", "[SEP]"]
    assert set(short["tokens"][4:]) == {""}
    assert not any(short["scores"][4:])
    assert [row["lengths"] for row in (short, long, empty)] == [4, 24, 2]
    assert client(text=[]) == []


def test_scores_are_those_of_the_model(task, client):
    logits = task.predict(TEXTS, verbose=0)
    for logits_row, row in zip(logits, client(text=TEXTS), strict=True):
        scores = 1 / (1 + np.exp(-logits_row[: row["lengths"]]))
        np.testing.assert_allclose(row["scores"][: row["lengths"]], scores, atol=1e-5)


def test_loss_is_the_weighted_mean(task):
    features, labels, weights = examples(task, TEXTS)
    logits = task.predict(features, verbose=0).astype("float64")
    losses = np.log1p(np.exp(-logits)) * labels + np.log1p(np.exp(logits)) * (1 - labels)
    found = task.evaluate(features, labels, sample_weight=weights, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx((losses * weights).sum() / weights.sum(), abs=1e-5)
    right = (logits > 0) == labels
    assert found["accuracy"] == pytest.approx((right * weights).sum() / weights.sum())
    plain = task.evaluate(features, labels, verbose=0, return_dict=True)
    assert plain["loss"] == pytest.approx(losses.mean(), abs=1e-5)


def test_round_trips(task, tmp_path):
    expected = task(task.preprocessor.features(TEXTS)).numpy()
    task.save_to_preset(tmp_path / "model")
    task.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for other in (load(tmp_path / "model"), loaded):
        np.testing.assert_allclose(other(other.preprocessor.features(TEXTS)), expected, atol=1e-6)
    features, labels, weights = examples(task, TEXTS)
    both = [
        one.evaluate(features, labels, sample_weight=weights, verbose=0) for one in (task, loaded)
    ]
    assert both[0] == pytest.approx(both[1], abs=1e-5)


@pytest.mark.parametrize("length", [3, 25])
def test_bad_sequence_length(tokenizer, tiny_backbone, length):
    with pytest.raises(InputError, match=rf"sequence_length must be in \[4, 24\], found {length}"):
        ReplacedTokenDetector(tiny_backbone(tokenizer), sequence_length=length)
