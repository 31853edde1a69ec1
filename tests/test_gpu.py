"""GPUs give the same results as CPUs: `pytest -m gpu --full`; skipped on machines without one.

`pytest -m gpu --full --device=CPU:0` tries the tests themselves without a GPU. `test_gpu_jax` has
those of JAX.
"""

import pathlib
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from gpu_program import batch, pretrainer
from resuming import assert_resumes_bitwise

from kerasbert import Backbone, BackboneConfig, TextClassifier
from kerasbert.training.strategies import prefetched

pytestmark = pytest.mark.gpu

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def gpu(request):
    device = request.config.getoption("--device")
    if not tf.config.list_physical_devices(device.split(":")[0]):
        pytest.skip(f"TensorFlow sees no {device}")
    tf.config.experimental.enable_tensor_float_32_execution(False)
    keras.utils.set_random_seed(0)
    yield device
    tf.config.experimental.enable_tensor_float_32_execution(True)


def trained(steps=3, *, weights=None, strategy=None, dtype="float32", dropout=0.0, **compiled):
    """Returns the losses of some steps of SGD, and the weights afterwards."""
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model = pretrainer(dtype, dropout)
        if weights is not None:
            model.set_weights(weights)
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(0.1), **compiled)
    data = tf.data.Dataset.from_tensors(batch()).repeat(steps)
    losses = [model.fit(data.take(1), verbose=0).history["loss"][0] for _ in range(steps)]
    return losses, before, model.get_weights()


def test_losses_and_gradients_are_those_of_a_cpu(gpu):
    found = {}
    weights = pretrainer().get_weights()
    for name, device in {"cpu": "CPU:0", "gpu": gpu}.items():
        with tf.device(device):
            found[name] = trained(weights=weights)
    np.testing.assert_allclose(found["gpu"][0], found["cpu"][0], rtol=1e-4)
    for before, ours, theirs in zip(weights, found["gpu"][2], found["cpu"][2], strict=True):
        if before.dtype == np.float32:  # seeds are counted, not learned
            np.testing.assert_allclose(ours - before, theirs - before, atol=1e-4)


@pytest.mark.parametrize("setting", ["xla", "mirrored", "bfloat16", "float16"])
def test_settings_give_the_same(setting, gpu):
    plain, weights, after = trained()
    options = {
        "xla": {"jit_compile": True},
        "mirrored": {"strategy": tf.distribute.MirroredStrategy([gpu])},
    }.get(setting, {"dtype": f"mixed_{setting}"})
    losses, _, other = trained(weights=weights, **options)
    exact = setting in ("xla", "mirrored")
    np.testing.assert_allclose(losses, plain, rtol=1e-5 if exact else 1e-2)
    assert losses[-1] < losses[0]
    if exact:
        for ours, theirs in zip(other, after, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_dropout_differs_from_step_to_step():
    losses, *_ = trained(steps=4, dropout=0.2, jit_compile=True)
    assert len(set(losses)) == 4


def test_batches_are_on_the_device_before_the_step(gpu):
    with tf.device(gpu):
        data = prefetched(tf.data.Dataset.from_tensors(batch()).repeat(), pretrainer())
        holders = {tensor.backing_device for tensor in tf.nest.flatten(next(iter(data)))}
    assert {name.rpartition("device:")[2] for name in holders} == {gpu}


def test_a_killed_run_resumes_bitwise(corpus_dir, tmp_path):
    flags = {
        "corpus": corpus_dir,
        "preset": "bert_tiny",
        "batch_size": 8,
        "sequence_length": 32,
        "steps": 60,
        "seed": 1,
        "deterministic": True,
        "checkpoint_every_steps": 4,
    }
    program = [sys.executable, str(ROOT / "scripts" / "pretrain.py")]
    program += [f"--{name}={value}" for name, value in flags.items()]

    assert_resumes_bitwise(program, tmp_path, cwd=ROOT)


def test_an_export_answers_as_the_model(tokenizer, texts, tmp_path):
    config = BackboneConfig(
        vocabulary_size=tokenizer.vocabulary_size,
        num_layers=2,
        hidden_dim=64,
        num_heads=2,
        intermediate_dim=128,
        max_sequence_length=32,
        initializer_range=0.2,
    )
    model = TextClassifier(Backbone(config), classes=["a", "b"], tokenizer=tokenizer)
    tf.config.experimental.enable_tensor_float_32_execution(True)  # the default
    model.export(tmp_path / "1")
    signature = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    scores = signature(text=tf.constant(texts))["scores"].numpy()
    np.testing.assert_allclose(scores, keras.ops.softmax(model.predict(texts)), atol=1e-3)
