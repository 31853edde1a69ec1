import keras
import numpy as np
import pytest

from kerasbert.layers import Embeddings, MLMHead, Pooler, SelfAttention, TransformerBlock

# Keras 3.15 saves variables by way of `np.array(variable)`, whose `__array__` lacks `copy`.

RANDOM = np.random.default_rng(0)
IDS = RANDOM.integers(0, 20, (4, 6)).astype("int32")
SEGMENTS = (np.arange(6) > 2).astype("int32") * np.ones((4, 1), "int32")
MASK = (np.arange(6) < np.array([[6], [4], [2], [1]])).astype("int32")
POSITIONS = np.array([[1, 2], [3, 0], [1, 0], [0, 0]], "int32")
X = RANDOM.normal(size=(4, 6, 8)).astype("float32")


def embeddings_model(**kwargs):
    inputs = [keras.Input((None,), dtype="int32") for _ in range(2)]
    return keras.Model(inputs, Embeddings(20, 8, 16, **kwargs)(*inputs)), [IDS, SEGMENTS]


def attention_model(**kwargs):
    inputs = [keras.Input((None, 8)), keras.Input((None,), dtype="int32")]
    return keras.Model(inputs, SelfAttention(2, **kwargs)(*inputs)), [X, MASK]


def block_model(**kwargs):
    inputs = [keras.Input((None, 8)), keras.Input((None,), dtype="int32")]
    return keras.Model(inputs, TransformerBlock(2, 12, **kwargs)(*inputs)), [X, MASK]


def pooler_model(**kwargs):
    inputs = keras.Input((None, 8))
    return keras.Model(inputs, Pooler(**kwargs)(inputs)), X


def mlm_model(**kwargs):
    inputs = [keras.Input((None,), dtype="int32") for _ in range(2)]
    embedding = keras.layers.Embedding(20, 8, name="tokens", **kwargs)
    x = embedding(inputs[0])
    return keras.Model(inputs, MLMHead(embedding, name="head", **kwargs)(x, inputs[1])), [
        IDS,
        POSITIONS,
    ]


MODELS = {
    "embeddings": (embeddings_model, (4, 6, 8)),
    "attention": (attention_model, (4, 6, 8)),
    "block": (block_model, (4, 6, 8)),
    "pooler": (pooler_model, (4, 8)),
    "mlm_head": (mlm_model, (4, 2, 20)),
}


@pytest.mark.parametrize(("make", "shape"), MODELS.values(), ids=MODELS)
def test_fit_save_and_load(make, shape, tmp_path):
    model, x = make()
    assert model.output_shape == (*[None] * (len(shape) - 1), shape[-1])
    before = model.predict(x, verbose=0)
    assert before.shape == shape
    model.compile("adam", "mse")
    model.fit(x, np.ones(shape), batch_size=2, verbose=0)
    after = model.predict(x, verbose=0)
    assert np.abs(after - before).max() > 1e-5
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), after, atol=1e-6)


@pytest.mark.parametrize(("make", "shape"), MODELS.values(), ids=MODELS)
def test_mixed_bfloat16(make, shape):
    model, x = make(dtype="mixed_bfloat16")
    output = model(x)
    assert tuple(output.shape) == shape
    assert keras.backend.standardize_dtype(output.dtype) == (
        "float32" if make is mlm_model else "bfloat16"
    )
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert np.isfinite(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))).all()


@pytest.mark.parametrize("make", [attention_model, block_model])
def test_padding_does_not_change_real_tokens(make):
    model, (x, mask) = make()
    alone = model([x[1:2, :4], mask[1:2, :4]]).numpy()
    noise = x + 100 * (1 - mask)[..., None]
    np.testing.assert_allclose(model([noise, mask]).numpy()[1, :4], alone[0], atol=1e-5)


@pytest.mark.parametrize("make", [attention_model, block_model])
def test_without_mask_is_all_ones(make):
    model, (x, mask) = make()
    layer = model.layers[-1]
    unmasked = layer(x).numpy()
    np.testing.assert_allclose(layer(x, np.ones_like(mask)).numpy(), unmasked, atol=1e-6)
    assert np.abs(layer(x, mask).numpy() - unmasked).max() > 1e-5


def test_self_attention_equals_keras():
    ours = SelfAttention(2, dropout=0.0)
    theirs = keras.layers.MultiHeadAttention(2, 4)
    ours.build(X.shape)
    theirs.build(X.shape, X.shape)
    pairs = (
        (ours.query, theirs.query_dense, (8, 2, 4), (2, 4)),
        (ours.key, theirs.key_dense, (8, 2, 4), (2, 4)),
        (ours.value, theirs.value_dense, (8, 2, 4), (2, 4)),
        (ours.output_dense, theirs.output_dense, (2, 4, 8), (8,)),
    )
    for our, their, kernel, bias in pairs:
        our.kernel.assign(RANDOM.normal(size=(8, 8)))
        our.bias.assign(RANDOM.normal(size=(8,)))
        their.kernel.assign(our.kernel.numpy().reshape(kernel))
        their.bias.assign(our.bias.numpy().reshape(bias))
    expected = theirs(X, X, attention_mask=MASK[:, None, :].astype(bool))
    np.testing.assert_allclose(ours(X, MASK).numpy(), expected.numpy(), atol=1e-5)


def test_sinusoidal_positions_are_those_of_vaswani():
    layer = Embeddings(20, 8, positions="sinusoidal")
    layer.build((None, 6))
    assert not [weight for weight in layer.weights if "position" in weight.path]
    for table in (layer.token_embedding, layer.segment_embedding):
        table.embeddings.assign(np.zeros(table.embeddings.shape))
    expected = np.zeros((6, 8))
    for position in range(6):
        for i in range(4):
            angle = position / 10_000 ** (2 * i / 8)
            expected[position, 2 * i : 2 * i + 2] = np.sin(angle), np.cos(angle)
    # The layer norm, undone: what it saw had this mean and deviation.
    mean, deviation = expected.mean(-1, keepdims=True), expected.std(-1, keepdims=True)
    seen = layer(IDS, SEGMENTS).numpy()[0] * deviation + mean
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_embeddings_sum_their_tables():
    layer = Embeddings(20, 8, 16)
    layer.build((None, 6))
    for variable in layer.weights[:3]:
        variable.assign(RANDOM.normal(size=variable.shape))
    token, segment, position = (
        table.embeddings.numpy()
        for table in (layer.token_embedding, layer.segment_embedding, layer.position_embedding)
    )
    x = token[IDS] + segment[SEGMENTS] + position[:6]
    expected = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    np.testing.assert_allclose(layer(IDS, SEGMENTS).numpy(), expected, atol=1e-5)


def test_pooler_sees_the_first_token_only():
    model, x = pooler_model()
    changed = x.copy()
    changed[:, 1:] = 0
    np.testing.assert_allclose(model(x).numpy(), model(changed).numpy())
    assert np.abs(model(x).numpy() - model(x[:, 1:]).numpy()).max() > 1e-4


def test_mlm_head_takes_the_given_positions():
    model, (ids, positions) = mlm_model()
    everywhere = model([ids, np.tile(np.arange(6, dtype="int32"), (4, 1))]).numpy()
    expected = np.take_along_axis(everywhere, positions[..., None], axis=1)
    np.testing.assert_allclose(model([ids, positions]).numpy(), expected, atol=1e-6)


def test_mlm_head_is_tied_and_stays_tied(tmp_path):
    model, _ = mlm_model()
    model.save(tmp_path / "model.keras")
    for tied in (model, keras.models.load_model(tmp_path / "model.keras")):
        # table + dense + layer norm + bias
        assert tied.count_params() == 20 * 8 + (8 * 8 + 8) + 2 * 8 + 20
        table, head = tied.get_layer("tokens").embeddings, tied.get_layer("head")
        before = head(X, POSITIONS).numpy()
        new = table.numpy()
        new[7, 0] += 1.0
        table.assign(new)
        changed = np.abs(head(X, POSITIONS).numpy() - before).max(axis=(0, 1)) > 1e-6
        np.testing.assert_array_equal(np.flatnonzero(changed), [7])


def test_bad_num_heads():
    with pytest.raises(ValueError, match="num_heads=3 does not divide the width 8"):
        SelfAttention(3)(X)


def test_bad_activation():
    with pytest.raises(ValueError, match=r"activation must be one of .*'swish'"):
        TransformerBlock(2, 8, activation="swish")


def test_bad_positions():
    with pytest.raises(ValueError, match=r"positions must be one of .*'rotary'"):
        Embeddings(20, 8, positions="rotary")


def test_too_long_sequence():
    with pytest.raises(ValueError, match="6 tokens, but max_sequence_length is 4"):
        Embeddings(20, 8, max_sequence_length=4)(IDS, SEGMENTS)


def test_dropout_works_in_training_only():
    model, x = block_model(dropout=0.5)
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())
    assert np.abs(model(x, training=True).numpy() - model(x).numpy()).max() > 1e-3


@pytest.mark.parametrize(
    ("activation", "minus_one"), [("gelu", -0.1586553), ("gelu_tanh", -0.1588081), ("relu", 0.0)]
)
def test_activations(activation, minus_one):
    block = TransformerBlock(2, 12, activation=activation)
    value = block.intermediate.activation(np.array([-1.0], "float32"))
    assert float(value[0]) == pytest.approx(minus_one, abs=1e-6)
