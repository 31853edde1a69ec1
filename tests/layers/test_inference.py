import numpy as np
import pytest
import tensorflow as tf

from kerasbert import Backbone, BackboneConfig
from kerasbert.layers.inference import PrecomputedWeights, inference_mode, is_inference_mode
from kerasbert.layers.tokens import UnpaddedTokens

SMALL = {
    "vocabulary_size": 30,
    "num_layers": 2,
    "hidden_dim": 16,
    "num_heads": 2,
    "intermediate_dim": 32,
}
RANDOM = np.random.default_rng(0)
MASK = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 1]], "int32")


def test_lasts_as_long_as_it_does():
    assert not is_inference_mode()
    with inference_mode():
        assert is_inference_mode()
    assert not is_inference_mode()


def test_real_tokens_and_back():
    x = RANDOM.normal(size=(4, 4, 6)).astype("float32")
    real = UnpaddedTokens(tf.constant(MASK))
    rows = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (3, 0), (3, 2), (3, 3)]
    flat = np.stack([x[position] for position in rows])
    np.testing.assert_array_equal(real.unpad(x), flat)
    expected = np.where(((MASK == 1) | (np.arange(4) == 0))[..., None], x, x[:, :1])
    np.testing.assert_array_equal(real.pad(flat), expected)
    heads = expected.reshape(4, 4, 2, 3).transpose(0, 2, 1, 3)
    split = real.split_heads(tf.constant(flat), 2, 3)
    # Of the length that 4 is rounded up to; behind each row are copies of its first token.
    np.testing.assert_array_equal(split, heads[:, :, [0, 1, 2, 3, 0, 0, 0, 0]])
    np.testing.assert_array_equal(real.merge_heads(split), flat)
    output_positions = np.array([[0, 2], [0, 3], [1, 0], [3, 3]], "int32")
    picked = np.take_along_axis(expected, output_positions[..., None], axis=1)
    np.testing.assert_array_equal(
        real.gather(tf.constant(flat), tf.constant(output_positions)), picked
    )


def test_few_shapes():
    """oneDNN keeps memory for every shape that is multiplied, so memory is flat if they are few."""
    x = RANDOM.normal(size=(3, 130, 4)).astype("float32")
    shapes = set()
    for length in range(1, 131):
        mask = np.ones((3, length), "int32")
        mask[1, length // 2 :] = 0
        real = UnpaddedTokens(tf.constant(mask))
        flat = real.unpad(x[:, :length])
        heads = real.split_heads(flat, 2, 2)
        np.testing.assert_array_equal(real.merge_heads(heads), flat)
        assert real.pad(flat).shape == (3, length, 4)
        assert real.mask.shape == (3, heads.shape[2])
        for size, least in ((flat.shape[0], max(3, mask.sum())), (heads.shape[2], length)):
            assert least <= size <= max(least + 7, least * 17 / 16)
        shapes |= {("tokens", flat.shape[0]), ("sequence", heads.shape[2])}
    assert len(shapes) < 60


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_one_operation_each(activation, dtype, tmp_path):
    """What oneDNN has one operation for is one, in a SavedModel as a server runs it."""
    backbone = Backbone(BackboneConfig(**SMALL, activation=activation), dtype=dtype)
    module = tf.Module()
    module.weights = [variable.value for variable in backbone.weights]
    ids = tf.TensorSpec([None, None], tf.int32, name="ids")

    @inference_mode()
    def answer(ids):
        x = backbone({"token_ids": ids})["sequence_output"]
        return {"x": tf.cast(x, tf.float32)}

    module.answer = tf.function(answer, input_signature=[ids], autograph=False)
    tf.saved_model.save(module, str(tmp_path), signatures=module.answer)
    run = tf.compat.v1.RunMetadata()
    config = tf.compat.v1.ConfigProto()  # graphs are rewritten, as in a server
    with tf.compat.v1.Session(graph=tf.Graph(), config=config) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path))
        signature = meta.signature_def["serving_default"]
        session.run(
            signature.outputs["x"].name,
            {signature.inputs["ids"].name: np.ones((2, 5))},
            options=tf.compat.v1.RunOptions(output_partition_graphs=True),
            run_metadata=run,
        )
    nodes = run.partition_graphs[0].node
    if not any("Mkl" in node.op for node in nodes):
        pytest.skip("TensorFlow has no oneDNN here")
    fused = [list(node.attr["fused_ops"].list.s) for node in nodes if "FusedMatMul" in node.op]
    gelu = b"GeluApproximate" if activation == "gelu_tanh" else b"GeluExact"
    assert fused.count([b"BiasAdd", gelu]) == 2
    assert fused.count([b"BiasAdd", b"Add"]) == 2
    assert not any("Transpose" in node.op or node.op in ("Erf", "Erfc", "Tanh") for node in nodes)


def test_frozen_weights_are_made_once():
    backbone = Backbone(BackboneConfig(**SMALL))
    for variable in backbone.weights:
        variable.assign(RANDOM.normal(size=variable.shape))
    features = {"token_ids": RANDOM.integers(0, 30, (4, 4)), "padding_mask": MASK}
    expected = backbone(features)["pooled_output"]
    frozen = PrecomputedWeights()
    answer = inference_mode(frozen)(lambda **kw: backbone(features, **kw)["pooled_output"])
    np.testing.assert_allclose(answer()[:2], expected[:2], atol=1e-4)
    # In the last layer the first token alone asks: a product for it, and one for keys and values.
    np.testing.assert_allclose(
        answer(output_positions=np.zeros((4, 1), "int32"))[:2], expected[:2], atol=1e-4
    )
    assert len(frozen.variables) == 2 * 2 + 2 * 2
    before = answer().numpy()
    backbone.blocks[0].attention.query.kernel.assign(np.zeros((16, 16)))
    np.testing.assert_array_equal(answer(), before)
    assert np.abs(backbone(features)["pooled_output"] - before)[:2].max() > 1e-4
