"""One run of training: who waits for the device, and when."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from kerasbert import InputError
from kerasbert.training.checkpoints import Checkpoints
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.loop import train
from kerasbert.training.progress import TrainingBar

X, Y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")


def run(directory, steps, x=X, callbacks=(), rate=0.1):
    inputs = keras.Input((2,))
    model = ExactModel(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(rate), "mse")
    batches = tf.data.Dataset.from_tensors((x, Y)).repeat()
    bar = TrainingBar("trains", steps)
    try:
        train(
            model,
            lambda step: batches,
            steps,
            Checkpoints(directory),
            None,
            report_every=steps // 2,
            validate=None,
            callbacks=[*callbacks, bar],
        )
    finally:
        bar.close()
    assert int(model.optimizer.iterations.numpy()) == bar.bar.n == steps


class Reads(keras.callbacks.Callback):
    """The steps at which the host has read what the device computes."""

    def __init__(self, monkeypatch):
        super().__init__()
        self.step, self.steps = -1, set()
        numpy = ops._EagerTensorBase._numpy

        def read(tensor):
            if tensor.dtype != tf.bool:  # whether there was a batch is known to the host
                self.steps.add(self.step)
            return numpy(tensor)

        monkeypatch.setattr(ops._EagerTensorBase, "_numpy", read)

    def on_train_batch_end(self, batch, logs=None):
        self.step = batch


def test_the_host_seldom_waits_for_the_device(tmp_path, monkeypatch):
    reads = Reads(monkeypatch)
    run(tmp_path, 400, callbacks=[reads])
    # The first, and then every 50th; Keras's own list of callbacks reads metrics at every step.
    assert reads.steps - {-1} == {0, *range(49, 400, 50)}


def test_a_run_without_hope_ends(tmp_path):
    with pytest.raises(InputError, match=r"step 50: .* not finite 50 times in a row; lower"):
        run(tmp_path, 200, X * np.nan)
    with pytest.raises(InputError, match=r"step 20: .* not finite 20 times in a row; lower"):
        run(tmp_path, 40, X * np.nan)


@pytest.mark.parametrize("wrong", [{"x": X * np.nan}, {"rate": 1e38}])
def test_a_run_that_is_too_short_to_skip_many_steps(tmp_path, wrong):
    with pytest.raises(
        InputError, match=r"^step [24]: the loss is (nan|inf), and training has diverged"
    ):
        run(tmp_path, 4, **wrong)


def test_the_host_seldom_waits_on_jax():
    pytest.importorskip("jax")
    program = pathlib.Path(__file__).with_name("loop_program.py")
    child = subprocess.run(
        [sys.executable, program],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout) == [0, *range(49, 400, 50)]
