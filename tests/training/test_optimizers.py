import keras
import numpy as np
import pytest

from kerasbert.layers import TransformerBlock
from kerasbert.training.optimizers import Warmup, adamw


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (30, 0.5), (49, 0.025), (50, 0.0), (60, 0.0)],
)
def test_warmup_linear(step, expected):
    schedule = Warmup(2.0, steps=50, warmup_steps=10)
    assert float(schedule(step)) == pytest.approx(2 * expected)


def test_warmup_linear_without_warmup_starts_at_the_peak():
    assert float(Warmup(0.5, steps=10)(0)) == pytest.approx(0.5)


def test_warmup_linear_config():
    schedule = Warmup(2.0, steps=50, warmup_steps=10)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(restored(step)) for step in (3, 20)] == [float(schedule(s)) for s in (3, 20)]


def test_adamw_decays_kernels_and_embeddings_only():
    block = TransformerBlock(num_heads=2, intermediate_dim=8)
    block.build((None, 3, 4))
    embedding = keras.layers.Embedding(5, 4)
    embedding.build(None)
    variables = block.trainable_variables + embedding.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    optimizer = adamw(0.1, weight_decay=0.5)
    optimizer.apply([np.zeros(v.shape, "float32") for v in variables], variables)

    left = {v.path: 0.95 if v.name in ("kernel", "embeddings") else 1.0 for v in variables}
    assert set(left.values()) == {0.95, 1.0}
    for variable in variables:
        np.testing.assert_allclose(variable.numpy(), left[variable.path], err_msg=variable.path)


@pytest.mark.parametrize(("clip_norm", "factor"), [(1.0, 0.2), (10.0, 1.0), (None, 1.0)])
def test_adamw_clips_the_global_norm(clip_norm, factor):
    optimizer = adamw(0.1, clip_norm=clip_norm)
    gradients = [np.array([3.0], "float32"), np.array([4.0], "float32")]
    variables = [keras.Variable(np.zeros(1), name=name) for name in "ab"]
    optimizer.build(variables)
    optimizer.apply(gradients, variables)
    # The first moment after one step is (1 - beta_1) times the gradient that was used.
    moments = [float(v[0]) for v in optimizer.variables if "momentum" in v.path]
    np.testing.assert_allclose(moments, [0.3 * factor, 0.4 * factor], rtol=1e-5)


def test_adamw_epsilon():
    assert adamw(0.1).epsilon == 1e-6
