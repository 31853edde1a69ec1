import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert.layers import Embeddings, MLMHead, Pooler, SelfAttention, TransformerBlock
from kerasbert.layers.chunks import PoolChunks
from kerasbert.layers.initializers import activation_function
from kerasbert.layers.normalization import LayerNorm
from kerasbert.layers.pooling import PoolTokens
from kerasbert.layers.tokens import gather_positions

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


def other_embeddings_model(**kwargs):
    # What RoBERTa, ERNIE and ALBERT have and BERT has not.
    inputs = [keras.Input((None,), dtype="int32") for _ in range(3)]
    facts = {"positions": "learned_offset", "num_task_types": 2, "embedding_dim": 4}
    layer = Embeddings(20, 8, 16, num_segments=0, **facts, **kwargs)
    return keras.Model(inputs, layer(*inputs)), [IDS, SEGMENTS, MASK]


def attention_model(**kwargs):
    inputs = [keras.Input((None, 8)), keras.Input((None,), dtype="int32")]
    return keras.Model(inputs, SelfAttention(2, **kwargs)(*inputs)), [X, MASK]


def block_model(**kwargs):
    inputs = [keras.Input((None, 8)), keras.Input((None,), dtype="int32")]
    return keras.Model(inputs, TransformerBlock(2, 12, **kwargs)(*inputs)), [X, MASK]


def pooler_model(**kwargs):
    inputs = keras.Input((None, 8))
    return keras.Model(inputs, Pooler(**kwargs)(inputs)), X


def at_positions(x, output_positions):
    return keras.ops.take_along_axis(x, keras.ops.expand_dims(output_positions, -1), axis=1)


def mlm_model(**kwargs):
    inputs = [keras.Input((None,), dtype="int32") for _ in range(2)]
    embedding = keras.layers.Embedding(20, 8, name="tokens", **kwargs)
    x = at_positions(embedding(inputs[0]), inputs[1])
    return keras.Model(inputs, MLMHead(embedding, name="head", **kwargs)(x)), [IDS, POSITIONS]


def untied_mlm_model(**kwargs):
    inputs = [keras.Input((None,), dtype="int32") for _ in range(2)]
    embedding = keras.layers.Embedding(20, 8, name="tokens", **kwargs)
    head = MLMHead(embedding, tied=False, name="head", **kwargs)
    x = at_positions(embedding(inputs[0]), inputs[1])
    return keras.Model(inputs, head(x)), [IDS, POSITIONS]


MODELS = {
    "embeddings": (embeddings_model, (4, 6, 8)),
    "other embeddings": (other_embeddings_model, (4, 6, 8)),
    "attention": (attention_model, (4, 6, 8)),
    "block": (block_model, (4, 6, 8)),
    "pooler": (pooler_model, (4, 8)),
    "mlm_head": (mlm_model, (4, 2, 20)),
    "untied mlm_head": (untied_mlm_model, (4, 2, 20)),
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
        "float32" if make in (mlm_model, untied_mlm_model) else "bfloat16"
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


@pytest.mark.parametrize("make", [attention_model, block_model])
def test_attention_weights(make):
    model, (x, mask) = make()
    layer = model.layers[-1]
    output, weights = layer(x, mask, return_weights=True)
    np.testing.assert_array_equal(output.numpy(), layer(x, mask).numpy())
    assert tuple(weights.shape) == (4, 2, 6, 6)
    np.testing.assert_allclose(weights.numpy().sum(-1), 1, atol=1e-5)
    assert not (weights.numpy() * (1 - mask)[:, None, None]).any()

    attention = layer if make is attention_model else layer.attention
    query, key, value = (
        (x @ dense.kernel.numpy() + dense.bias.numpy()).reshape(4, 6, 2, 4).transpose(0, 2, 1, 3)
        for dense in (attention.query, attention.key, attention.value)
    )
    scores = query @ key.swapaxes(-1, -2) / 2 - 1e9 * (1 - mask)[:, None, None]
    expected = np.exp(scores - scores.max(-1, keepdims=True))
    expected /= expected.sum(-1, keepdims=True)
    np.testing.assert_allclose(weights.numpy(), expected, atol=1e-5)
    if make is attention_model:
        dense = attention.output_dense
        mixed = (expected @ value).transpose(0, 2, 1, 3).reshape(x.shape)
        mixed = mixed @ dense.kernel.numpy() + dense.bias.numpy()
        np.testing.assert_allclose(output.numpy(), mixed, atol=1e-5)


@pytest.mark.parametrize("make", [attention_model, block_model])
def test_shapes_of_attention_weights_are_known(make):
    layer = make()[0].layers[-1]
    symbolic = keras.Input((None, 8)), keras.Input((None,), dtype="int32")
    output, weights = layer(*symbolic, return_weights=True)
    assert (output.shape, weights.shape) == ((None, None, 8), (None, 2, None, None))


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


def test_sinusoidal_positions_in_half_precision():
    exact, half = (
        Embeddings(20, 8, 512, positions="sinusoidal", dtype=dtype)
        for dtype in ("float32", "mixed_bfloat16")
    )
    x = np.zeros((1, 512, 8), "float32")
    found = half._positions(x, 512, None, None)
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    np.testing.assert_allclose(
        keras.ops.cast(found, "float32"), exact._positions(x, 512, None, None), atol=4e-3
    )


@pytest.mark.parametrize("positions", ["learned", "learned_offset", "sinusoidal"])
def test_given_positions(positions):
    layer = Embeddings(20, 8, 16, positions=positions)
    token_ids = np.array([[3, 4, 5, 6], [7, 8, 9, 10]])
    mask = np.ones_like(token_ids)
    whole = layer(token_ids, padding_mask=mask)
    position_ids = np.array([[0, 1, 0, 1], [0, 1, 2, 3]])
    found = layer(token_ids, padding_mask=mask, position_ids=position_ids)
    np.testing.assert_allclose(found[1], whole[1], atol=1e-6)
    np.testing.assert_allclose(found[0, :2], whole[0, :2], atol=1e-6)
    alone = layer(token_ids[:1, 2:], padding_mask=mask[:1, 2:])
    np.testing.assert_allclose(found[0, 2:], alone[0], atol=1e-6)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float32"])
@pytest.mark.parametrize(
    "make",
    [lambda dtype: PoolTokens("max", dtype=dtype)]
    + [lambda dtype, how=how: PoolChunks(how, dtype=dtype) for how in ("max", "attention")],
)
def test_pooling_looks_at_what_is_real(make, dtype):
    layer = make(dtype)
    vectors = np.float32([[[1, -2], [-3, -4], [100, 100]]])
    mask = np.int32([[1, 1, 0]])
    if isinstance(layer, PoolChunks):
        pooled = layer(vectors.reshape(3, 2), mask[:, :, None])
        alone = layer(vectors.reshape(3, 2)[:2], mask[:, :2, None])
    else:
        pooled, alone = layer(vectors, mask), layer(vectors[:, :2], mask[:, :2])
    assert np.isfinite(pooled).all()
    np.testing.assert_array_equal(pooled, alone)


def test_bias_of_the_vocabulary_is_not_rounded():
    embedding = keras.layers.Embedding(5, 4, dtype="mixed_bfloat16")
    embedding.build(None)
    head = MLMHead(embedding, dtype="mixed_bfloat16")
    head.build((None, None, 4))
    head.bias.assign([0, 0, 0, 0, 1.003])
    embedding.embeddings.assign(np.zeros((5, 4)))
    assert float(head(np.ones((1, 1, 4)))[0, 0, 4]) == np.float32(1.003)


def random_embeddings(**kwargs):
    """A layer with random weights, and its tables by name."""
    layer = Embeddings(20, 8, 16, **kwargs)
    layer.build((None, 6))
    for variable in layer.weights:
        if "layer_norm" not in variable.path:
            variable.assign(RANDOM.normal(size=variable.shape))
    tables = ("token_embedding", "segment_embedding", "position_embedding", "task_type_embedding")
    found = {name: getattr(layer, name) for name in tables}
    return layer, {name: table.embeddings.numpy() for name, table in found.items() if table}


def normalized(x):
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def test_embeddings_sum_their_tables():
    layer, tables = random_embeddings()
    x = tables["token_embedding"][IDS] + tables["segment_embedding"][SEGMENTS]
    expected = normalized(x + tables["position_embedding"][:6])
    np.testing.assert_allclose(layer(IDS, SEGMENTS).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(layer(IDS, SEGMENTS, MASK).numpy(), expected, atol=1e-5)


def test_no_segments():
    layer, tables = random_embeddings(num_segments=0)
    assert tables.keys() == {"token_embedding", "position_embedding"}
    expected = normalized(tables["token_embedding"][IDS] + tables["position_embedding"][:6])
    np.testing.assert_allclose(layer(IDS, SEGMENTS).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(layer(IDS).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("segments", [SEGMENTS, np.zeros_like(SEGMENTS), None])
def test_one_segment_is_everywhere(segments):
    layer, tables = random_embeddings(num_segments=1)
    x = tables["token_embedding"][IDS] + tables["segment_embedding"][0]
    expected = normalized(x + tables["position_embedding"][:6])
    np.testing.assert_allclose(layer(IDS, segments).numpy(), expected, atol=1e-5)


def test_no_segment_ids_are_zeros():
    layer, _ = random_embeddings()
    np.testing.assert_array_equal(layer(IDS).numpy(), layer(IDS, np.zeros_like(IDS)).numpy())


@pytest.mark.parametrize("task_type", [0, 2])
def test_task_types(task_type):
    layer, tables = random_embeddings(num_segments=0, num_task_types=3, task_type=task_type)
    x = tables["token_embedding"][IDS] + tables["position_embedding"][:6]
    expected = normalized(x + tables["task_type_embedding"][task_type])
    np.testing.assert_allclose(layer(IDS).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("width", [4, 8])
def test_projection(width):
    layer, tables = random_embeddings(num_segments=0, embedding_dim=width)
    assert tables["token_embedding"].shape == (20, width)
    x = normalized(tables["token_embedding"][IDS] + tables["position_embedding"][:6])
    expected = x @ layer.projection.kernel.numpy() + layer.projection.bias.numpy()
    np.testing.assert_allclose(layer(IDS).numpy(), expected, atol=1e-5)


# Padding behind, before, in the middle, and everywhere.
HOLES = np.array([[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1], [1, 1, 0, 0, 1, 0], [0] * 6], "int32")


def rows_after_padding(mask, padding_id):
    """RoBERTa's positions: real tokens are counted from `padding_id + 1` on."""
    rows = np.full(mask.shape, padding_id)
    for row, real in zip(rows, mask, strict=True):
        row[real == 1] = padding_id + 1 + np.arange(real.sum())
    return rows


@pytest.mark.parametrize("padding_id", [0, 1, 3])
def test_positions_with_an_offset(padding_id):
    layer, tables = random_embeddings(
        positions="learned_offset", padding_id=padding_id, num_segments=0
    )
    token, position = tables["token_embedding"], tables["position_embedding"]
    assert position.shape == (16 + padding_id + 1, 8)
    expected = normalized(token[IDS] + position[rows_after_padding(HOLES, padding_id)])
    np.testing.assert_allclose(layer(IDS, None, HOLES).numpy(), expected, atol=1e-5)
    whole = normalized(token[IDS] + position[rows_after_padding(np.ones_like(HOLES), padding_id)])
    for mask in (None, np.ones_like(HOLES)):
        np.testing.assert_allclose(layer(IDS, None, mask).numpy(), whole, atol=1e-5)


def test_the_longest_sequence_has_positions():
    layer, tables = random_embeddings(positions="learned_offset", padding_id=1, num_segments=0)
    ids = np.zeros((1, 16), "int32")
    x = tables["token_embedding"][ids] + tables["position_embedding"][2:]
    np.testing.assert_allclose(layer(ids).numpy(), normalized(x), atol=1e-5)


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
        before = head(X).numpy()
        new = table.numpy()
        new[7, 0] += 1.0
        table.assign(new)
        changed = np.abs(head(X).numpy() - before).max(axis=(0, 1)) > 1e-6
        np.testing.assert_array_equal(np.flatnonzero(changed), [7])


def test_untied_mlm_head(tmp_path):
    model, _ = untied_mlm_model()
    model.save(tmp_path / "model.keras")
    for untied in (model, keras.models.load_model(tmp_path / "model.keras")):
        assert untied.count_params() == 2 * (20 * 8) + (8 * 8 + 8) + 2 * 8 + 20
        head = untied.get_layer("head")
        before = head(X).numpy()
        untied.get_layer("tokens").embeddings.assign(np.zeros((20, 8)))
        np.testing.assert_array_equal(head(X).numpy(), before)
        new = head.table.numpy()
        new[7, 0] += 1.0
        head.table.assign(new)
        changed = np.abs(head(X).numpy() - before).max(axis=(0, 1)) > 1e-6
        np.testing.assert_array_equal(np.flatnonzero(changed), [7])


def test_mlm_head_of_narrow_embeddings():
    embedding = keras.layers.Embedding(20, 4)
    embedding.build()
    head = MLMHead(embedding)
    assert tuple(head(X).shape) == (4, 6, 20)
    assert tuple(head.dense.kernel.shape) == (8, 4)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("mask", [MASK, None], ids=["padded", "without mask"])
def test_only_some_places_equals_all(mask, checkpointing):
    block = TransformerBlock(2, 12, dropout=0.0, attention_dropout=0.0)
    block.build(X.shape)
    block.gradient_checkpointing = checkpointing
    numbers = np.random.default_rng(0)
    for variable in block.trainable_variables:
        variable.assign(numbers.normal(size=variable.shape))
    for training in (False, True):
        found = []
        for output_positions in (None, POSITIONS):
            x = tf.constant(X)
            with tf.GradientTape() as tape:
                tape.watch(x)
                output = block(x, mask, output_positions, training=training)
                output = gather_positions(output, POSITIONS) if output_positions is None else output
                loss = tf.reduce_sum(output**3)
            watched = [x, *(variable.value for variable in block.trainable_variables)]
            found.append([output, *tape.gradient(loss, watched)])
        assert tuple(found[1][0].shape) == (4, 2, 8)
        for everywhere, there in zip(*found, strict=True):
            np.testing.assert_allclose(there.numpy(), everywhere.numpy(), rtol=1e-4, atol=2e-3)


def test_weights_of_some_places():
    block = TransformerBlock(2, 12)
    output, weights = block(X, MASK, return_weights=True)
    there, weights_there = block(X, MASK, POSITIONS, return_weights=True)
    np.testing.assert_allclose(there, gather_positions(output, POSITIONS), atol=1e-5)
    for head in range(2):
        expected = gather_positions(weights[:, head], POSITIONS)
        np.testing.assert_allclose(weights_there[:, head], expected, atol=1e-6)
    symbolic = block(keras.Input((None, 8)), None, keras.Input((None,)), return_weights=True)
    assert [x.shape for x in symbolic] == [(None, None, 8), (None, 2, None, None)]


@pytest.mark.parametrize("shape", [(5, 8), (3, 4, 8), (0, 8)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_layer_norm_is_keras(shape, dtype):
    ours, theirs = (
        norm(epsilon=1e-12, dtype=dtype) for norm in (LayerNorm, keras.layers.LayerNormalization)
    )
    for layer in (ours, theirs):
        layer.build(shape)
        layer.gamma.assign(np.linspace(-1, 2, 8))
        layer.beta.assign(np.linspace(1, -3, 8))
    x = tf.constant(np.random.default_rng(0).normal(2.0, 3.0, size=shape), "float32")
    x = tf.cast(x, layer.variable_dtype)
    found = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x)
            loss = tf.reduce_sum(tf.cast(output, layer.variable_dtype) ** 2)
        variables = [variable.value for variable in layer.weights]
        found.append([output, *tape.gradient(loss, [x, *variables])])
    assert found[0][0].dtype == found[1][0].dtype == layer.compute_dtype
    tolerance = {"float32": 1e-4, "float64": 1e-12, "mixed_bfloat16": 0.02}[dtype]
    ours, theirs = ([tf.cast(value, "float64") for value in one] for one in found)
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=tolerance, atol=tolerance)


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


@pytest.mark.parametrize("positions", ["learned", "learned_offset"])
def test_too_long_sequence_of_unknown_length(positions):
    layer = Embeddings(20, 8, max_sequence_length=4, positions=positions)
    run = tf.function(layer, [tf.TensorSpec([None, None], tf.int32)] * 3, autograph=False)
    mask = np.ones_like(IDS)
    assert run(IDS[:, :4], SEGMENTS[:, :4], mask[:, :4]).shape == (4, 4, 8)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Expected size\[0\] in \[0, "):
        run(IDS, SEGMENTS, mask)  # by an operation that is as strict on a GPU


def test_dropout_works_in_training_only():
    model, x = block_model(dropout=0.5)
    np.testing.assert_array_equal(model(x).numpy(), model(x).numpy())
    assert np.abs(model(x, training=True).numpy() - model(x).numpy()).max() > 1e-3


@pytest.mark.parametrize(
    ("activation", "minus_one"), [("gelu", -0.1586553), ("gelu_tanh", -0.1588081), ("relu", 0.0)]
)
def test_activations(activation, minus_one):
    value = activation_function(activation)(np.array([-1.0], "float32"))
    assert float(value[0]) == pytest.approx(minus_one, abs=1e-6)
