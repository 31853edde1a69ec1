import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasbert.layers import TransformerBlock, backends
from kerasbert.layers.dropout import _compiled_random_words, _dropped, _random_words
from kerasbert.layers.fused_ops import FusedOp
from kerasbert.layers.initializers import ACTIVATIONS
from kerasbert.layers.transformer import _activation, _add_and_norm

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 12)).astype("float32")
BYTES = RANDOM.integers(0, 256, X.shape, dtype="uint8")
GAMMA, BETA = RANDOM.normal(size=(2, 12)).astype("float32")
ISLANDS = {
    **{name: (_activation(name), [X]) for name in ACTIVATIONS},
    "dropout": (_dropped(26), [X, BYTES]),
    "add and norm": (_add_and_norm(26, 1e-12), [X, X[::-1], BYTES, GAMMA, BETA]),
}


def value_and_gradients(function, inputs, dtype="float32"):
    tensors = [tf.convert_to_tensor(x) for x in inputs]
    tensors = [tf.cast(x, dtype) if x.dtype.is_floating else x for x in tensors]
    watched = [x for x in tensors if x.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        output = function(*tensors)
        loss = tf.reduce_sum(tf.cast(output, "float32") * X)
    found = [output, *tape.gradient(loss, watched)]
    assert {one.dtype for one in found} == {tf.as_dtype(dtype)}
    return [tf.cast(one, "float32").numpy() for one in found]


@pytest.mark.parametrize(("island", "inputs"), ISLANDS.values(), ids=ISLANDS)
def test_compiled_equals_plain(island, inputs):
    plain = value_and_gradients(island.function, inputs)
    compiled = value_and_gradients(island.compiled, inputs)
    for ours, expected in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("island", "inputs"), ISLANDS.values(), ids=ISLANDS)
def test_compiled_bfloat16_is_nearer_to_float32(island, inputs):
    rounded = [
        x if x.dtype == "uint8" else tf.cast(tf.cast(x, "bfloat16"), "float32") for x in inputs
    ]
    exact = value_and_gradients(island.function, rounded)
    errors = [
        [np.abs(a - b).mean() for a, b in zip(one, exact, strict=True)]
        for one in (
            value_and_gradients(function, inputs, "bfloat16")
            for function in (island.compiled, island.function)
        )
    ]
    for compiled, plain in zip(*errors, strict=True):
        assert compiled <= plain * 1.05 + 1e-3


def compiled_calls(shape, spec):
    island = FusedOp(lambda x: x * 2.0)
    function = tf.function(island).get_concrete_function(tf.TensorSpec(spec))
    np.testing.assert_array_equal(function(tf.ones(shape)), 2 * np.ones(shape))
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return [node.name for node in nodes if node.attr["_XlaMustCompile"].b]


def test_large_known_shapes_are_compiled():
    assert compiled_calls((256, 256), (256, 256))


def test_float64_is_not():
    assert not backends.compiles(tf.ones((256, 256), "float64"))


@pytest.mark.parametrize(("shape", "spec"), [((256, 256), (None, 256)), ((16, 16), (16, 16))])
def test_unknown_and_small_shapes_are_not(shape, spec):
    assert not compiled_calls(shape, spec)


def test_compiled_for_several_replicas():
    # Only a strategy that computes needs its devices to be there.
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        assert backends.compiles(tf.ones((256, 256)))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_a_block_with_and_without_fused_ops(checkpointing, monkeypatch):
    def losses(compile_all):
        monkeypatch.setattr(backends, "compiles", lambda *inputs: compile_all)
        keras.utils.set_random_seed(1)
        block = TransformerBlock(2, 24, dropout=0.2, attention_dropout=0.2)
        block.gradient_checkpointing = checkpointing
        inputs = keras.Input((8, 12))
        model = keras.Model(inputs, block(inputs))
        model.compile("sgd", "mse")
        batches = X.reshape(8, 8, 12)
        return [model.train_on_batch(batches, batches[::-1]) for _ in range(4)]

    plain, compiled = losses(False), losses(True)
    np.testing.assert_allclose(compiled, plain, rtol=1e-4)
    assert len(set(map(float, plain))) == 4


@pytest.mark.parametrize("size", [1, 6, 1000])
def test_compiled_random_words_are_those_of_tensorflow(size):
    seed = tf.constant([3, 2**40], "int64")
    words = _compiled_random_words(size, seed)
    np.testing.assert_array_equal(words, _random_words(size, seed))
    assert words.shape == (size,)
