"""Other vocabularies and lengths than those of the file: old rows stay, bit for bit."""

import pathlib

import numpy as np
import pytest

import kerasbert
from kerasbert import Backbone, BackboneConfig, InputError, checkpoints

GOLDENS = pathlib.Path(__file__).parents[1] / "goldens" / "huggingface"
TOKENS = "embeddings/token_embedding/embeddings"
POSITIONS = "embeddings/position_embedding/embeddings"
ROWS, LENGTH = 40, 20  # of the goldens


def stored(name):
    return checkpoints.load(GOLDENS / name).weights


def weights(model):
    return {variable.path: variable.numpy() for variable in model.weights}


def assert_rest_is_same(model, name, *resized):
    before = stored(name)
    for path, array in weights(model).items():
        if path not in resized:
            np.testing.assert_array_equal(array, before[path], err_msg=path)


# === Tokens ===


@pytest.mark.parametrize("size", [33, ROWS, 50])
@pytest.mark.parametrize("name", ["bert", "roberta", "albert", "distilbert"])
def test_tokens(name, size):
    backbone = Backbone.from_preset(GOLDENS / name, vocabulary_size=size)
    table, old = weights(backbone)[TOKENS], stored(name)[TOKENS]
    assert len(table) == size
    np.testing.assert_array_equal(table[:ROWS], old[:size])
    assert (table[ROWS:].std(axis=1) > 0).all()
    assert_rest_is_same(backbone, name, TOKENS)


def test_without_the_request(tmp_path):
    config = BackboneConfig.from_stored(checkpoints.load(GOLDENS / "bert").encoder_config, "bert")
    for fact, path in (("vocabulary_size", TOKENS), ("max_sequence_length", POSITIONS)):
        backbone = Backbone(BackboneConfig(**{**vars(config), fact: 21}))
        with pytest.raises(InputError, match=rf"1 of 39 weights don't fit: {path} \(21, 16\)"):
            checkpoints.load(GOLDENS / "bert").assign(backbone.weights)


@pytest.mark.parametrize("fact", ["hidden_dim", "num_segments", "intermediate_dim", "num_layers"])
def test_what_can_not_be_resized(fact):
    with pytest.raises(InputError, match="weights don't fit"):
        Backbone.from_preset(GOLDENS / "bert", **{fact: 4})


def test_a_length_does_not_resize_tokens():
    preset = checkpoints.load(GOLDENS / "bert")
    backbone = Backbone(BackboneConfig(**{**preset.encoder_config, "vocabulary_size": 33}))
    with pytest.raises(InputError, match=r"token_embedding/embeddings \(33, 16\)"):
        preset.assign(backbone.weights, resize={"max_sequence_length": 20})


# === Positions ===


@pytest.mark.parametrize("length", [7, LENGTH, 31, 45])
@pytest.mark.parametrize("name", ["bert", "albert", "electra"])
def test_positions(name, length):
    backbone = Backbone.from_preset(GOLDENS / name, max_sequence_length=length)
    table, old = weights(backbone)[POSITIONS], stored(name)[POSITIONS]
    np.testing.assert_array_equal(table, old[np.arange(length) % LENGTH])
    assert_rest_is_same(backbone, name, POSITIONS)


@pytest.mark.parametrize("length", [7, LENGTH, 31, 45])
@pytest.mark.parametrize("name", ["roberta", "xlm_roberta"])
def test_positions_after_padding(name, length):
    backbone = Backbone.from_preset(GOLDENS / name, max_sequence_length=length)
    table, old = weights(backbone)[POSITIONS], stored(name)[POSITIONS]
    assert (len(table), len(old)) == (length + 2, LENGTH + 2)
    np.testing.assert_array_equal(table[:2], old[:2])
    np.testing.assert_array_equal(table[2:], old[2:][np.arange(length) % LENGTH])


def test_a_longer_roberta_answers_as_before():
    ids = np.random.default_rng(0).integers(3, ROWS, (2, LENGTH))
    old = Backbone.from_preset(GOLDENS / "roberta")
    new = Backbone.from_preset(GOLDENS / "roberta", max_sequence_length=2 * LENGTH)
    np.testing.assert_array_equal(new(ids)["sequence_output"], old(ids)["sequence_output"])
    assert new(np.tile(ids, 2))["sequence_output"].shape == (2, 2 * LENGTH, 16)


def test_sinusoidal_positions_have_no_table(tmp_path):
    config = BackboneConfig(
        vocabulary_size=9,
        num_layers=1,
        hidden_dim=4,
        num_heads=1,
        intermediate_dim=4,
        max_sequence_length=8,
        positions="sinusoidal",
    )
    Backbone(config).save_to_preset(tmp_path / "model")
    longer = Backbone.from_preset(tmp_path / "model", max_sequence_length=16)
    assert longer.config.max_sequence_length == 16


# === Tasks ===


@pytest.mark.parametrize("size", [33, 50])
@pytest.mark.parametrize("name", ["bert_masked_lm", "bert_masked_lm_untied", "bert_pretraining"])
def test_masked_lm_heads(name, size):
    task = kerasbert.MaskedLM.from_preset(GOLDENS / name, backbone={"vocabulary_size": size})
    assert task.uninitialized_weights == []
    found, before = weights(task), stored(name)
    resized = [path for path in (TOKENS, "mlm_head/bias", "mlm_head/table") if path in found]
    assert ("mlm_head/table" in resized) == ("untied" in name)
    for path in resized:
        assert len(found[path]) == size
        np.testing.assert_array_equal(found[path][:ROWS], before[path][:size])
    np.testing.assert_array_equal(found["mlm_head/bias"][ROWS:], 0)
    assert_rest_is_same(task, name, *resized)


def test_pretrainer():
    changes = {"vocabulary_size": 50, "max_sequence_length": 30}
    task = kerasbert.Pretrainer.from_preset(GOLDENS / "bert_pretraining", backbone=changes)
    assert task.uninitialized_weights == []
    assert_rest_is_same(task, "bert_pretraining", TOKENS, POSITIONS, "mlm_head/bias")
    places = np.zeros((1, 2), int)
    logits = task({"token_ids": np.full((1, 30), 49), "mask_positions": places})["mlm_logits"]
    assert logits.shape == (1, 2, 50)


def test_classifier():
    name = "bert_sequence_classification"
    changes = {"vocabulary_size": 50, "max_sequence_length": 10}
    task = kerasbert.TextClassifier.from_preset(GOLDENS / name, backbone=changes)
    assert (task.uninitialized_weights, task.sequence_length) == ([], 10)
    assert_rest_is_same(task, name, TOKENS, POSITIONS)


def test_saved_again(tmp_path):
    changes = {"vocabulary_size": 50, "max_sequence_length": 30}
    task = kerasbert.MaskedLM.from_preset(GOLDENS / "roberta_masked_lm", backbone=changes)
    for format in ("kerasbert", "hf"):
        task.save_to_preset(tmp_path / format, format=format)
        loaded = kerasbert.load(tmp_path / format)
        for path, array in weights(loaded).items():
            np.testing.assert_array_equal(array, weights(task)[path], err_msg=path)
