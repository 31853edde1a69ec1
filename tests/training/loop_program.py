"""When a run on JAX waits for the device: prints the steps, as JSON."""

import json
import sys
import tempfile

import keras
import numpy as np
from jax._src.array import ArrayImpl

from kerasbert.data.pretraining.drawn import DrawnBatches
from kerasbert.training.checkpoints import Checkpoints
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.loop import train
from kerasbert.training.progress import TrainingBar

BATCH = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")


class Reads(keras.callbacks.Callback):
    """The steps at which the host has read what the device computes."""

    def __init__(self):
        super().__init__()
        self.step, self.steps = -1, set()
        value = ArrayImpl._value.fget

        def read(array):
            self.steps.add(self.step)
            return value(array)

        ArrayImpl._value = property(read)

    def on_train_batch_end(self, batch, logs=None):
        self.step = batch


def main() -> None:
    inputs = keras.Input((2,))
    model = ExactModel(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    reads, bar = Reads(), TrainingBar("trains", 400)
    with tempfile.TemporaryDirectory() as directory:
        train(
            model,
            lambda step: DrawnBatches(lambda number: BATCH, step),
            400,
            Checkpoints(directory),
            None,
            report_every=200,
            validate=None,
            callbacks=[reads, bar],
        )
    bar.close()
    assert int(model.optimizer.iterations.numpy()) == 400
    assert "tensorflow" not in sys.modules
    print(json.dumps(sorted(reads.steps - {-1})))


if __name__ == "__main__":
    main()
