"""Which weights learn, how fast, and from what: freezing, rates by layer, averages, memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert import Backbone, BackboneConfig, InputError, TextClassifier
from kerasbert.training.exact_optimizer import patch_optimizer
from kerasbert.training.optimizers import adamw, averaged_weights, fits_keep_weights

ROWS = 12


def make(dropout=0.0, **compiling):
    keras.utils.set_random_seed(0)
    config = BackboneConfig(
        vocabulary_size=30,
        num_layers=3,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=16,
        max_sequence_length=6,
        dropout=dropout,
        attention_dropout=dropout,
        initializer_range=0.2,
        pooler=True,
    )
    return TextClassifier(Backbone(config), classes=3)


def data():
    numbers = np.random.default_rng(0)
    features = {"token_ids": numbers.integers(30, size=(ROWS, 6)).astype("int32")}
    return features, numbers.integers(3, size=ROWS)


def fit(model, optimizer=None, steps=1, **compiling):
    model.compile(optimizer or keras.optimizers.SGD(0.1), **compiling)
    x, y = data()
    model.fit(x, y, batch_size=ROWS, epochs=steps, shuffle=False, verbose=0)


def moves(model, **compiling):
    before = {v.path: v.numpy() for v in model.weights}
    fit(model, **compiling)
    return {v.path: v.numpy() - before[v.path] for v in model.weights}


# === Freezing ===


def test_freezing_by_depth():
    model = make()
    frozen = model.freeze(layers=2)
    still = {path for path, move in moves(model).items() if not move.any()}
    assert set(frozen) == still
    assert {path.split("/")[0] for path in still} == {"embeddings", "layer_0", "layer_1"}


def test_freezing_by_name():
    model = make()
    frozen = model.freeze(names=["layer_1/attention", "pooler"])
    assert {path.split("/")[0] for path in frozen} == {"layer_1", "pooler"}
    assert {path for path, move in moves(model).items() if not move.any()} == set(frozen)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"layers": 4}, "has 3 layers, so 4 can't be frozen"),
        ({"layers": -1}, "can't be frozen"),
        ({"names": ["layer"]}, "no weight is called 'layer'; there are embeddings, layer_0,"),
    ],
)
def test_freezing_what_is_not_there(what, message):
    with pytest.raises(InputError, match=message):
        make().freeze(**what)


# === Rates by layer ===


def test_layers_learn_at_their_rates():
    plain, decayed = moves(make()), moves(make(), layer_decay=0.5)
    powers = {"embeddings": 4, "layer_0": 3, "layer_1": 2, "layer_2": 1, "pooler": 0}
    for path, move in plain.items():
        factor = 0.5 ** powers.get(path.split("/")[0], 0)
        np.testing.assert_allclose(decayed[path], factor * move, atol=1e-7, err_msg=path)


def test_rates_are_forgotten_when_compiled_without():
    model = make()
    model.compile(keras.optimizers.SGD(0.1), layer_decay=0.5)
    assert len(model.optimizer.rate_factors) == len(model.weights)
    model.compile(model.optimizer)
    assert model.optimizer.rate_factors == {}


def test_how_it_was_compiled_is_saved_with_the_model(tmp_path):
    model = make()
    fit(model, layer_decay=0.5, accumulation_steps=2)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert (again.layer_decay, again.accumulation_steps) == (0.5, 2)
    assert again.optimizer.rate_factors == model.optimizer.rate_factors


# === Averages ===


def test_averaged_weights_are_there_while_they_are_asked_for():
    model, momentum, expected = make(), 0.8, None
    model.compile(adamw(1e-2, ema=momentum))
    with averaged_weights(model):  # nothing was learnt, so there is no average
        untouched = [v.numpy() for v in model.trainable_variables]
    x, y = data()
    for _ in range(3):
        with fits_keep_weights(model):
            model.fit(x, y, batch_size=ROWS, verbose=0)
        weights = [v.numpy() for v in model.trainable_variables]
        expected = (
            [momentum * a + (1 - momentum) * w for a, w in zip(expected, weights, strict=True)]
            if expected
            else weights
        )
    with averaged_weights(model):
        averages = [v.numpy() for v in model.trainable_variables]
    for average, one, weight, start in zip(averages, expected, weights, untouched, strict=True):
        np.testing.assert_allclose(average, one, atol=1e-6)
        assert (start != weight).any()
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), weight)


# === Memory ===


def test_gradient_checkpointing_changes_only_rounding():
    found = []
    for on in (False, True):
        model = make(dropout=0.3)
        model.backbone.gradient_checkpointing = on
        assert model.backbone.gradient_checkpointing is on
        fit(model, steps=3)
        found.append([v.numpy() for v in model.weights])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_gradient_checkpointing_computes_layers_twice():
    model, calls = make(), []
    block = model.backbone.blocks[1]
    forward = block._forward
    block._forward = lambda *args, **kwargs: calls.append(1) or forward(*args, **kwargs)
    for on, expected in ((False, 1), (True, 2)):
        model.backbone.gradient_checkpointing = on
        calls.clear()
        with tf.GradientTape() as tape:
            loss = keras.ops.sum(model(data()[0], training=True))
        tape.gradient(loss, model.trainable_variables)
        assert len(calls) == expected


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_learns(precision):
    config = BackboneConfig(
        vocabulary_size=30, num_layers=1, hidden_dim=8, num_heads=2, intermediate_dim=16,
        dropout=0.0, attention_dropout=0.0, initializer_range=0.2, pooler=True,
    )  # fmt: skip
    keras.utils.set_random_seed(0)
    model = TextClassifier(Backbone(config, dtype=precision), classes=3)
    model.compile(adamw(1e-2))
    assert (model.optimizer.loss_scale is not None) == (precision == "mixed_float16")
    x, y = data()
    history = model.fit(x, y, batch_size=ROWS, epochs=30, verbose=0).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert model.optimizer.skipped_steps == 0
    assert all(v.dtype == "float32" for v in model.weights)


def test_loss_scale_comes_down_until_gradients_are_finite():
    optimizer = patch_optimizer(keras.optimizers.SGD(0.0), float16=True)
    variable = keras.Variable(np.ones(1, "float32"))
    optimizer.build([variable])
    optimizer.loss_scale.good_steps.assign(1_999)
    for gradient in (1.0, np.inf, np.inf):
        optimizer.apply([np.array([gradient], "float32")], [variable])
    assert float(optimizer.loss_scale.factor.numpy()) == 2.0**14  # doubled, halved, halved
    assert int(optimizer.skipped_steps.numpy()) == 2
    assert int(optimizer.skipped_in_a_row.numpy()) == 0  # a smaller factor may help
    optimizer.loss_scale.factor.assign(1.0)
    optimizer.apply([np.array([np.inf], "float32")], [variable])
    assert int(optimizer.skipped_in_a_row.numpy()) == 1
