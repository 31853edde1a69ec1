import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import Backbone, BackboneConfig, InputError, MaskedLM, load
from kerasbert.data.corpus.reader import Corpus
from kerasbert.data.pretraining.batches import PretrainingBatches
from kerasbert.layers.replacing import sample_tokens
from kerasbert.tasks.replaced_token_detector import (
    ReplacedTokenDetector,
    ReplacedTokenPretrainer,
)
from kerasbert.tasks.replaced_token_detector.pretrainer import generator_config
from kerasbert.training.optimizers import adamw

GOLDEN = pathlib.Path(__file__).parents[1] / "goldens" / "detection.npz"
CONFIG = {
    **{"family": "electra", "vocabulary_size": 29, "num_layers": 2, "hidden_dim": 16},
    **{"num_heads": 2, "intermediate_dim": 24, "embedding_dim": 12, "max_sequence_length": 16},
    **{"activation": "gelu", "pooler": False, "classifier_activation": "gelu"},
    **{"dropout": 0.0, "attention_dropout": 0.0, "initializer_range": 0.3},
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


def part(golden, name):
    return {k.removeprefix(f"{name}:"): v for k, v in golden.items() if k.startswith(f"{name}:")}


@pytest.fixture
def model(golden):
    model = ReplacedTokenPretrainer(Backbone(BackboneConfig(**CONFIG)), generator_size=0.5)
    for name, value in part(golden, "weight").items():
        prefix, path = name.split(":")
        by_path = {v.path: v for v in getattr(model, prefix).weights}
        by_path[path].assign(value)
    return model


def labelled(features):
    weights = (features["mask_positions"] > 0).astype("float32")
    mask = features["padding_mask"]
    return (
        features,
        {"mlm_logits": features["original_ids"], "rtd_logits": mask},
        {"mlm_logits": weights, "rtd_logits": mask.astype("float32")},
    )


def test_losses_and_gradients_are_those_of_transformers(model, golden):
    features, labels, weights = labelled(part(golden, "feature"))
    model.compile(jit_compile=False)
    losses = model.evaluate(features, labels, sample_weight=weights, verbose=0, return_dict=True)
    expected = {
        "mlm_logits_loss": float(golden["mlm_loss"]),
        "rtd_logits_loss": float(golden["detection_loss"]),
    }
    assert {name: losses[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert losses["loss"] == pytest.approx(
        expected["mlm_logits_loss"] + 50 * expected["rtd_logits_loss"], abs=1e-4
    )
    with tf.GradientTape() as tape:
        outputs = model(features, training=True)
        loss = model.compute_loss(features, labels, outputs, weights)
    np.testing.assert_array_equal(
        outputs["rtd_logits"][..., 1] * features["padding_mask"], golden["labels"]
    )
    found = tape.gradient(loss, [v.value for v in model.trainable_variables])
    by_id = dict(zip(map(id, model.trainable_variables), found, strict=True))
    compared = 0
    for name, theirs in part(golden, "gradient").items():
        prefix, path = name.split(":")
        variable = next(v for v in getattr(model, prefix).weights if v.path == path)
        ours = np.asarray(tf.convert_to_tensor(by_id[id(variable)]))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5, err_msg=name)
        compared += 1
    assert 0 < golden["labels"].sum() < np.count_nonzero(golden["feature:mask_positions"])
    assert compared >= 70  # of both, where the embeddings are the same


def test_keras_file_keeps_the_compilation(model, golden, tmp_path):
    features, labels, weights = labelled(part(golden, "feature"))
    model.compile(keras.optimizers.SGD(0.0), detector_weight=10.0, run_eagerly=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    found, expected = (
        one.evaluate(features, labels, sample_weight=weights, verbose=0, return_dict=True)
        for one in (loaded, model)
    )
    assert found == pytest.approx(expected, rel=1e-5)


def test_embeddings_are_shared(model):
    ours, theirs = model.generator.backbone.embeddings, model.detector.backbone.embeddings
    for name in ("token_embedding", "position_embedding", "segment_embedding", "layer_norm"):
        assert getattr(ours, name) is getattr(theirs, name)
    assert ours.projection is not theirs.projection
    assert len({id(v) for v in model.weights}) == len(model.weights)


def test_samples_have_the_probabilities():
    logits = np.log([0.5, 0.25, 0.125, 0.125, 1e-9]).astype("float32")
    draws = np.random.default_rng(0).integers(0, 2**31 - 1, 40_000).astype("int32")
    sampled = sample_tokens(np.broadcast_to(logits, (40_000, 5)), draws).numpy()
    counts = np.bincount(sampled, minlength=5)
    assert counts[4] == 0
    expected = 40_000 * np.array([0.5, 0.25, 0.125, 0.125])
    assert np.sum((counts[:4] - expected) ** 2 / expected) < 16.3  # chi-squared, 3 degrees, 0.1 %
    ends = np.array([0, 2**31 - 2], "int32")
    assert sample_tokens(np.zeros((2, 7), "float32"), ends).numpy().tolist() == [0, 6]


def test_batches(corpus_dir):
    corpus = Corpus(corpus_dir)
    graph, numpy = (
        PretrainingBatches(corpus, 8, 16, objective="rtd", with_numpy=chosen)
        for chosen in (False, True)
    )
    for step in (0, 7):
        drawn, expected = numpy.batch(step), graph.batch(step)
        for ours, theirs in zip(drawn, expected, strict=True):
            assert ours.keys() == theirs.keys()
            for name, value in ours.items():
                np.testing.assert_array_equal(value, theirs[name], err_msg=name)
        features, labels, weights = drawn
        used = weights["mlm_logits"] > 0
        masked = np.take_along_axis(features["token_ids"], features["mask_positions"], 1)
        assert np.all(masked[used] == corpus.tokenizer.mask_id)
        assert np.all(masked[~used] == corpus.tokenizer.cls_id)
        np.testing.assert_array_equal(labels["rtd_logits"], features["padding_mask"])


def test_learns_and_saves_both_models(tokenizer, tiny_backbone, corpus_dir, tmp_path):
    keras.utils.set_random_seed(0)
    model = ReplacedTokenPretrainer(tiny_backbone(tokenizer, pooler=False), tokenizer=tokenizer)
    model.compile(adamw(1e-2))
    batches = PretrainingBatches(Corpus(corpus_dir), 16, 16, objective="rtd")
    losses = model.fit(batches.dataset(), steps_per_epoch=20, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0] - 1
    model.save_to_preset(tmp_path / "model")
    detector, generator = load(tmp_path / "model"), load(tmp_path / "model" / "generator")
    assert type(detector) is ReplacedTokenDetector
    assert type(generator) is MaskedLM
    features = batches.batch(3)[0]
    logits = generator({name: features[name] for name in generator.input})
    np.testing.assert_allclose(logits, model(features)["mlm_logits"], atol=1e-5)
    with pytest.raises(InputError, match="exists already"):
        model.save_to_preset(tmp_path / "model")


def test_microbatches_are_exact(model, golden):
    batch = labelled(part(golden, "feature"))
    ends = []
    for count in (1, 3):
        again = ReplacedTokenPretrainer(Backbone(BackboneConfig(**CONFIG)), generator_size=0.5)
        for ours, theirs in zip(again.weights, model.weights, strict=True):
            ours.assign(theirs)
        again.compile(keras.optimizers.SGD(0.01), accumulation_steps=count)
        again.fit(*batch[:2], sample_weight=batch[2], batch_size=3, verbose=0)
        ends.append([v.numpy() for v in again.weights])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_generators_that_cannot_be():
    config = BackboneConfig(**CONFIG)
    assert generator_config(config, 0.25).embedding_dim == 12
    assert generator_config(config, 0.75).embedding_dim is None  # as wide as the embeddings
    with pytest.raises(InputError, match=r"generator_size=0\.01: gives a width of 0"):
        generator_config(config, 0.01)
