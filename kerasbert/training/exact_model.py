"""Training that is exact under `tf.distribute`: N replicas do what one device does on their batch.

Keras 3 on TensorFlow does not, and can't `fit` on several workers at all (keras issues 20585 and
20582). Here a loss is divided by the weight of the *global* batch (`global_loss`), whether that is
spread over replicas or cut into pieces that are looked at one after the other (`exact_steps`),
gradients are summed before anything else is done to them, and a step whose gradient is not finite
changes no weight (`exact_optimizer`).
"""

import importlib.util

import keras

from kerasbert import _compat
from kerasbert.errors import InputError

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
if ON_TENSORFLOW:
    from kerasbert.training.exact_optimizer import patch_optimizer
    from kerasbert.training.exact_steps import GlobalBatchSteps as _Steps
    from kerasbert.training.global_loss import global_mean
else:
    _Steps = keras.Model


class ExactModel(_Steps):
    """A Keras model whose `compile` and `fit` are exact under every strategy.

    On another backend than TensorFlow, where there is no strategy, its steps are Keras's.
    """

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
            **kwargs: as in Keras, but that nothing is compiled by XLA unless it is asked for.

        Raises:
            InputError: a number of steps that can't be, or not on this backend.
        """
        if accumulation_steps < 1:
            raise InputError(f"accumulation_steps must be 1 or more, found {accumulation_steps}")
        if ON_TENSORFLOW:
            float16 = any(layer.compute_dtype == "float16" for layer in _compat.layers_of(self))
            optimizer = patch_optimizer(keras.optimizers.get(optimizer), float16=float16)
            loss = global_mean(loss)
            kwargs = {"jit_compile": False, **kwargs, "auto_scale_loss": False}
        elif accumulation_steps > 1:
            raise InputError("accumulation_steps needs the TensorFlow backend")
        self.accumulation_steps = accumulation_steps
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

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
