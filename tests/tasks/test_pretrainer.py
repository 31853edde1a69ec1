import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import InputError, MaskedLM, Pretrainer, load
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.layers import backends, vocabulary_loss
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.optimizers import adamw

LENGTH, MASKED = 16, 3  # 15 % of 16, rounded up
BLANKS = ["the [MASK] sees a [MASK] dog", "no blank", "[MASK]"]


@pytest.fixture
def pretrainer(tokenizer, tiny_backbone):
    keras.utils.set_random_seed(0)
    backbone = tiny_backbone(tokenizer, max_sequence_length=LENGTH, initializer_range=0.02)
    return Pretrainer(backbone, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def batches(corpus_dir):
    return PretrainingBatches(Corpus(corpus_dir), 16, LENGTH)


def test_weights_are_counted_once(pretrainer, tokenizer):
    size = tokenizer.vocabulary_size
    head = (16 * 16 + 16) + 2 * 16 + size + (16 * 2 + 2)
    assert pretrainer.count_params() == pretrainer.backbone.count_params() + head
    assert len({id(variable) for variable in pretrainer.weights}) == len(pretrainer.weights)


def test_loss_is_the_weighted_mean(pretrainer, batches):
    features, labels, weights = batches.batch(0)
    pretrainer.compile()
    metrics = pretrainer.evaluate(batches.dataset(0, 1), verbose=0, return_dict=True)
    outputs = pretrainer(features)
    expected = {}
    for name in ("mlm_logits", "nsp_logits"):
        assert outputs[name].dtype == tf.float32
        logits = outputs[name].numpy().astype("float64")
        log_scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        label, weight = labels[name].numpy(), weights[name].numpy()
        losses = -np.take_along_axis(log_scores, label[..., None], -1)[..., 0]
        expected[f"{name}_loss"] = (losses * weight).sum() / weight.sum()
        right = logits.argmax(-1) == label
        expected[f"{name}_accuracy"] = (right * weight).sum() / weight.sum()
    assert 0 < weights["mlm_logits"].numpy().mean() < 1
    expected["loss"] = expected["mlm_logits_loss"] + expected["nsp_logits_loss"]
    assert metrics == pytest.approx(expected, abs=1e-4)


def test_learns(pretrainer, batches):
    pretrainer.compile(adamw(1e-2))
    before = pretrainer.evaluate(batches.dataset(1000, 5), verbose=0)[0]
    pretrainer.fit(batches.dataset(), steps_per_epoch=30, verbose=0)
    after = pretrainer.evaluate(batches.dataset(1000, 5), verbose=0)[0]
    assert after < before - 0.3


def test_fit_on_strings(pretrainer, texts):
    pretrainer.compile()
    history = pretrainer.fit(texts, epochs=2, batch_size=8, verbose=0).history
    assert int(pretrainer.optimizer.iterations) == 2 * 5
    assert np.isfinite(history["loss"]).all()
    assert {"mlm_logits_accuracy", "nsp_logits_accuracy"} <= history.keys()


@pytest.mark.parametrize("labels", [None, [0, 1, 0, 1]])
def test_fit_on_pairs(pretrainer, texts, labels):
    pretrainer.compile()
    pretrainer.fit((texts[:4], texts[4:8]), labels, verbose=0)
    assert int(pretrainer.optimizer.iterations) == 1


@pytest.mark.parametrize("y", [[0, 2], [0.5, 1.0], ["0", "next"], [[0, 1], [1, 0]]])
def test_wrong_labels_of_a_dataset(pretrainer, texts, y):
    pretrainer.compile(run_eagerly=True)
    pairs = {"text": texts[:2], "text_pair": texts[2:4]}
    with pytest.raises(InputError, match=r"none of the classes 0, 1|one label for each example"):
        pretrainer.fit(tf.data.Dataset.from_tensors((pairs, y)), verbose=0)


@pytest.mark.parametrize(
    "tune",
    [{"whole_word": True}, {"mask_rate": 0.5}, {"mask_unit": "ngram"}, {"mask_unit": "span"}],
)
def test_masking_options_reach_fit(pretrainer, tokenizer, texts, tune):
    task = Pretrainer(pretrainer.backbone, tokenizer=tokenizer, **tune)
    features, labels, _ = task.preprocessor.training_examples(0, {"text": texts}, None, None)
    plain, _, _ = pretrainer.preprocessor.training_examples(0, {"text": texts}, None, None)
    assert features["mask_positions"].shape == labels["mlm_logits"].shape
    same = features["mask_positions"].shape == plain["mask_positions"].shape and np.array_equal(
        features["mask_positions"], plain["mask_positions"]
    )
    assert not same


@pytest.mark.parametrize("unit", ["token", "whole_word", "span"])
def test_mask_units_are_saved(pretrainer, tokenizer, tmp_path, unit):
    task = Pretrainer(pretrainer.backbone, tokenizer=tokenizer, mask_unit=unit)
    task.save_to_preset(tmp_path / "m")
    head = json.loads((tmp_path / "m/config.json").read_text())["head"]
    assert head["whole_word"] == (unit == "whole_word")  # as earlier versions read it
    assert head.get("mask_unit") == (unit if unit == "span" else None)
    assert Pretrainer.from_preset(tmp_path / "m").mask_unit == unit


def test_predict_on_strings(pretrainer, tokenizer):
    outputs = pretrainer.predict(BLANKS, verbose=0)
    assert outputs["mlm_logits"].shape == (3, MASKED, tokenizer.vocabulary_size)
    assert outputs["nsp_logits"].shape == (3, 2)
    features = pretrainer.preprocessor.features(BLANKS)
    np.testing.assert_array_equal(features["mask_positions"], [[2, 5, 0], [0, 0, 0], [1, 0, 0]])
    expected = pretrainer(features)
    for name, value in outputs.items():
        np.testing.assert_allclose(value, expected[name].numpy(), atol=1e-5)


def test_fill_mask(pretrainer, tokenizer):
    guesses = pretrainer.fill_mask([BLANKS[0], BLANKS[2]], top_k=4)
    assert [[len(mask) for mask in text] for text in guesses] == [[4, 4], [4]]
    pieces, scores, _ = zip(*guesses[1][0], strict=True)
    logits = pretrainer.predict(BLANKS, verbose=0)["mlm_logits"][2, 0]
    best = np.argsort(-logits)[:4]
    assert list(pieces) == [tokenizer.vocabulary[id] for id in best]
    np.testing.assert_allclose(scores, (np.exp(logits) / np.exp(logits).sum())[best], rtol=1e-4)


def test_fill_mask_with_more_masks_than_in_training(pretrainer):
    assert MASKED < 5
    (masks,) = pretrainer.fill_mask(["[MASK] [MASK] [MASK] [MASK] [MASK]"], top_k=2)
    assert [len(mask) for mask in masks] == [2] * 5


def test_round_trip(pretrainer, tmp_path):
    expected = pretrainer.predict(BLANKS, verbose=0)
    pretrainer.save_to_preset(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert isinstance(loaded, Pretrainer)
    assert loaded.head_config() == pretrainer.head_config()
    for name, value in loaded.predict(BLANKS, verbose=0).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)


def test_keras_file_keeps_the_tie(pretrainer, tmp_path):
    expected = pretrainer.predict(BLANKS, verbose=0)
    pretrainer.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for name, value in loaded.predict(BLANKS, verbose=0).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)
    assert loaded.count_params() == pretrainer.count_params()

    table = loaded.backbone.token_embedding.embeddings
    assert loaded.get_layer("mlm_head").token_embedding.embeddings is table
    cat = loaded.tokenizer.token_to_id("cat")  # occurs in none of the texts
    moved = table.numpy()
    moved[cat, 0] += 1
    table.assign(moved)
    change = np.abs(loaded.predict(BLANKS, verbose=0)["mlm_logits"] - expected["mlm_logits"])
    np.testing.assert_array_equal(np.flatnonzero(change.max((0, 1)) > 1e-4), [cat])


def test_mixed_bfloat16(pretrainer, batches, tmp_path):
    pretrainer.save_to_preset(tmp_path / "model")
    mixed = Pretrainer.from_preset(tmp_path / "model", dtype="mixed_bfloat16")
    mixed.compile()
    mixed.fit(batches.dataset(0, 2), verbose=0)
    outputs = mixed(batches.batch(0)[0])
    assert {outputs[name].dtype for name in outputs} == {tf.float32}
    assert {variable.dtype for variable in mixed.weights} == {"float32"}


@pytest.mark.parametrize("seed", [0, None])
def test_masks_change_every_epoch(pretrainer, texts, seed):
    examples = pretrainer.preprocessor.batches(texts, batch_size=len(texts), seed=seed)
    (first,), (second,) = (
        [features["mask_positions"].numpy() for features, _, _ in examples] for _ in range(2)
    )
    assert (first != second).any() == (seed is not None)


def test_fit_takes_positional_arguments_in_the_order_of_keras(pretrainer, texts):
    pretrainer.compile()
    history = pretrainer.fit(texts, None, 20, 2, 0, [])
    assert len(history.epoch) == 2


# === Steps that keep no logits ===


@pytest.fixture
def outcomes(monkeypatch):
    """Lets steps compute losses as where XLA compiles them, but uncompiled; returns the calls."""
    calls, original = [], vocabulary_loss.outcomes
    monkeypatch.setattr(ExactModel, "needs_few_shapes", True)
    monkeypatch.setattr(backends, "vocabulary_parts", lambda vocabulary: 3)
    monkeypatch.setattr(vocabulary_loss, "outcomes", lambda *x: calls.append(x) or original(*x))
    return calls


def trained(model, data, before, **compiled) -> dict:
    """Logs of a step, the weights after it, and the scores of an evaluation."""
    model.set_weights(before)
    model.compile(keras.optimizers.SGD(0.5), **compiled)
    logs = model.train_on_batch(*data, return_dict=True)
    scores = model.test_on_batch(*data, return_dict=True)
    weights = np.concatenate([np.ravel(weight) for weight in model.get_weights()])
    return {**logs, **{f"test_{name}": score for name, score in scores.items()}, "weights": weights}


@pytest.mark.parametrize(("kind", "pieces"), [(Pretrainer, 2), (MaskedLM, 1)])
def test_steps_without_logits(kind, pieces, tokenizer, tiny_backbone, batches, request):
    model = kind(tiny_backbone(tokenizer, max_sequence_length=LENGTH), tokenizer=tokenizer)
    data, before = batches.batch(0), model.get_weights()
    if kind is MaskedLM:
        data = (data[0], *(part["mlm_logits"] for part in data[1:]))
    expected = trained(model, data, before, accumulation_steps=pieces)
    calls = request.getfixturevalue("outcomes")
    found = trained(model, data, before, accumulation_steps=pieces)
    assert calls
    assert np.abs(expected.pop("weights") - (weights := found.pop("weights"))).max() < 1e-6
    assert np.abs(weights - np.concatenate([np.ravel(each) for each in before])).max() > 1e-3
    assert found == pytest.approx(expected, rel=1e-5)
    assert found.keys() == expected.keys()
    with_logits = keras.tree.flatten(model(data[0]))[0]
    assert with_logits.shape == (16, MASKED, tokenizer.vocabulary_size)


@pytest.mark.parametrize(
    "compiled",
    [
        {"loss": "sparse_categorical_crossentropy"},
        {"metrics": ["sparse_top_k_categorical_accuracy"]},
    ],
)
def test_other_losses_and_metrics_get_logits(compiled, pretrainer, batches, outcomes):
    found = trained(pretrainer, batches.batch(0), pretrainer.get_weights(), **compiled)
    assert not outcomes
    assert np.isfinite(found["loss"])
