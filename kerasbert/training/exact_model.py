"""Training that is exact under `tf.distribute`: N replicas do what one device does on their batch.

Keras 3 on TensorFlow does not, and can't `fit` on several workers at all (keras issues 20585 and
20582). Here a loss is divided by the weight of the *global* batch (`global_loss`), whether that is
spread over devices or cut into microbatches that are computed one after the other (`steps`),
gradients are summed before anything else is done to them, and a step whose gradient is not finite
changes no weight (`exact_optimizer`).
"""

import importlib.util

import keras

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.training.exact_optimizer import SEEN, patch_optimizer
from kerasbert.training.global_loss import global_mean
from kerasbert.training.steps import ON_TENSORFLOW, backend
from kerasbert.training.strategies import is_tpu


class ExactModel(backend.GlobalBatchSteps):
    """A Keras model whose `compile` and `fit` are exact under every strategy and distribution."""

    #: What `counts_examples` counts.
    counts = SEEN
    #: Whether training counts what it sees and logs it, under the names of `SEEN`.
    counts_examples = False

    def compile(self, optimizer="rmsprop", loss=None, *, accumulation_steps: int = 1, **kwargs):
        """Keras's `compile`.

        Args:
            optimizer: as in Keras.
            loss: as in Keras.
            accumulation_steps: how many pieces a batch is cut into; one is computed after the
                other, their gradients are added up, and the optimizer takes one step, so that a
                batch needs no more memory than a piece.
            **kwargs: as in Keras, but that on TensorFlow nothing is compiled by XLA unless it is
                asked for.

        Raises:
            InputError: a number of steps that can't be, an optimizer that can't be exact, or
                `jit_compile` for several replicas.
        """
        if accumulation_steps < 1:
            raise InputError(f"accumulation_steps must be 1 or more, found {accumulation_steps}")
        float16 = any(layer.compute_dtype == "float16" for layer in _compat.layers_of(self))
        optimizer = patch_optimizer(keras.optimizers.get(optimizer), float16=float16)
        if ON_TENSORFLOW:
            kwargs = {"jit_compile": False, **kwargs}
            if kwargs["jit_compile"] and self.distribute_strategy.num_replicas_in_sync > 1:
                # XLA has no way out of a step to add up gradients.
                raise InputError("several replicas can't take jit_compile; leave it out")
        self.accumulation_steps = accumulation_steps
        kwargs["auto_scale_loss"] = False
        super().compile(optimizer=optimizer, loss=global_mean(loss), **kwargs)

    @property
    def needs_few_shapes(self) -> bool:
        """Whether XLA compiles the steps: then for every shape of a batch."""
        if not self.compiled:
            return False
        return self.jit_compile or (ON_TENSORFLOW and is_tpu(self.distribute_strategy))

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        *args,
        **kwargs,
    ):
        """Keras's `fit`.

        Raises:
            InputError: a callback needs a package that is not there.
        """
        called = keras.tree.flatten(callbacks)
        needs_package = any(isinstance(one, keras.callbacks.TensorBoard) for one in called)
        if needs_package and importlib.util.find_spec("tensorboard") is None:
            raise InputError(
                "keras.callbacks.TensorBoard needs a package that TensorFlow does not bring: "
                "pip install tensorboard"
            )
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, *args, **kwargs)

    # === What the steps of every backend ask ===

    def loss_divisors(self, y, outputs, sample_weight) -> list:
        """What each loss of a whole batch is to be divided by; only what outputs are like counts.

        Args:
            y: the labels of the batch, or of a replica's part of it.
            outputs: the model's, or their shapes and dtypes.
            sample_weight: the weights, or None.
        """
        _compat.build_losses(self, y, outputs)
        return [
            loss.divisor(*(_at(path, part) for part in (y, outputs, sample_weight)))
            for path, loss in _compat.flat_losses(self)
        ]

    def set_global_batch(self, divisors: list | None, num_microbatches: float) -> None:
        """Says of what global batch the next microbatches are; see `GlobalBatchLoss`."""
        for index, (_, loss) in enumerate(_compat.flat_losses(self)):
            loss.set_global_batch(divisors and divisors[index], num_microbatches)

    @staticmethod
    def check_layer_losses(losses: list) -> None:
        """Raises `InputError` for losses of layers, which know of no global batch."""
        if losses:
            raise InputError("accumulation_steps: layers with losses of their own are not exact")

    # === Files ===

    def get_compile_config(self) -> dict:
        """Keras's, and `accumulation_steps`."""
        config = super().get_compile_config()  # None if it was not compiled
        if config and self.accumulation_steps > 1:  # Keras compiles clones, which know it not
            config = {**config, "accumulation_steps": self.accumulation_steps}
        return config

    def compile_from_config(self, config: dict) -> None:
        """Compiles as before `save`, when Keras loads a whole model."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)


def _at(path: tuple, structure):
    """What stands at a path of keys; None stands everywhere in None."""
    for key in path:
        if structure is None or not isinstance(structure, dict | list | tuple):
            return structure
        structure = structure[key]
    return structure
