"""One run of training: who waits for the device, and when."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from kerasbert import InputError
from kerasbert.training import curves
from kerasbert.training.agreement import Agreement
from kerasbert.training.checkpoints import Checkpoints
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.loop import CheckpointCallback, train
from kerasbert.training.progress import TrainingBar
from kerasbert.training.run_directory import LOSSES, METRICS, ReportMetrics, RunDirectory
from kerasbert.training.stored_checkpoint import read_checkpoint

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


# === Resuming ===


def numbered(step):
    """Endless batches, each of the number of its step: the loss is its square."""
    steps = tf.data.Dataset.range(step, 1_000_000)
    return steps.map(lambda i: (tf.fill((4, 1), tf.cast(i, tf.float32)), tf.zeros((4, 1))))


def resume(directory, steps, stored=None, *, rate=1e-4, at_once=1, every_steps=1, **options):
    """Trains one weight, 1 at the start; an evaluation reads three batches."""
    inputs = keras.Input((1,))
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = ExactModel(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(rate), "mse", steps_per_execution=at_once)
    copied = [directory / METRICS, directory / LOSSES]
    checkpoints = Checkpoints(directory / "checkpoints", every_steps, keep=99, copied=copied)

    def validate():
        return model.evaluate(numbered(0).take(3), verbose=0, return_dict=True)

    options = {"report_every": 4, "callbacks": [], **options}
    train(model, numbered, steps, checkpoints, stored, validate=validate, **options)
    return model


def checkpoint(directory, step):
    return read_checkpoint(directory / "checkpoints" / f"step-{step:010d}")


def test_executions_do_not_go_beyond_the_end(tmp_path):
    """From step 3 on, Keras would take 8 steps in executions of 4, and the run needs 5."""
    whole = resume(tmp_path / "whole", 16, every_steps=3, report_every=16)
    losses = []
    evaluated = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: losses.append(logs["val_loss"])
    )
    model = resume(
        tmp_path / "cut",
        16,
        checkpoint(tmp_path / "whole", 3),
        at_once=4,
        every_steps=0,
        report_every=8,
        callbacks=[evaluated],
    )
    assert int(model.optimizer.iterations.numpy()) == 16
    assert model.steps_per_execution == 4
    (weight,), (expected,) = model.get_weights(), whole.get_weights()
    np.testing.assert_allclose(weight, expected, rtol=1e-6)
    assert len(losses) == 2
    assert losses[1] == pytest.approx((0 + 1 + 4) / 3 * weight.item() ** 2)


class Impatient(keras.callbacks.Callback):
    stop_training = True


def test_a_run_that_was_stopped_early_stays_so(tmp_path):
    """It was interrupted before it could end."""
    resume(tmp_path, 8)
    model = resume(tmp_path, 12, checkpoint(tmp_path, 8), best=Impatient())
    assert int(model.optimizer.iterations.numpy()) == 8


@pytest.mark.parametrize(("step", "report_every"), [(3, 3), (5, 2)])
def test_losses_of_a_run_that_continues_one_with_other_intervals(
    tmp_path, monkeypatch, step, report_every
):
    monkeypatch.setattr(curves, "draw", lambda *args, **more: None)

    def reported(path, steps, stored=None, **options):
        directory = stored and stored.path
        run = RunDirectory(path, {}, stored.step if stored else 0, stored=directory)
        resume(path, steps, stored, rate=0.0, callbacks=[ReportMetrics(run, "a run")], **options)
        return [line["loss"] for line in run.losses()]

    reported(tmp_path / "old", 6, report_every=5)
    stored = checkpoint(tmp_path / "old", step)
    losses = reported(tmp_path / "new", 8, stored, report_every=report_every)
    assert losses == pytest.approx([float(number**2) for number in range(8)])


# === Signals ===


@pytest.fixture
def handlers():
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    yield before
    for kind, handler in before.items():
        signal.signal(kind, handler)


@pytest.fixture
def callback(tmp_path):
    checkpoints = Checkpoints(tmp_path, log=lambda line: None)
    agreement = Agreement(tf.distribute.get_strategy())
    return CheckpointCallback(checkpoints, None, None, numbered, agreement, metrics=False)


def test_a_second_signal_ends_the_program_whatever_its_kind(handlers, callback):
    with callback.signals():
        signal.raise_signal(signal.SIGTERM)
        assert callback.received_signal == signal.SIGTERM
        assert {signal.getsignal(kind) for kind in handlers} == {signal.SIG_DFL}
    assert {kind: signal.getsignal(kind) for kind in handlers} == handlers


def test_ignored_signals_stay_so(handlers, callback):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with callback.signals():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert callback.received_signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


# === The host and the device ===


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
