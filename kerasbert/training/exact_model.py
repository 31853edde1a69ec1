"""Exact training under `tf.distribute`: N replicas compute what one device computes.

Keras 3 on TensorFlow is not exact, and can't `fit` on several workers at all (keras issues 20585
and 20582). Here a loss is divided by the weight of the *global* batch (`global_loss`), whether that
is distributed over devices or split into microbatches (`steps`), gradients are summed over replicas
before they are clipped, and a step whose gradient is not finite changes no weight
(`exact_optimizer`).
"""

import importlib.util
from typing import Any

import keras

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.training.exact_optimizer import SEEN, patch_optimizer
from kerasbert.training.global_loss import global_mean
from kerasbert.training.steps import ON_TENSORFLOW, backend
from kerasbert.training.strategies import is_tpu


class ExactModel(backend.GlobalBatchSteps):
    """A functional Keras model that trains exactly under every strategy and distribution.

    A step computes the same on one device, on several, or in microbatches: the loss is the mean
    over the global batch, gradients are summed over replicas before they are clipped, and a step
    whose gradient is not finite changes no weight. Tasks are `ExactModel`s.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> import kerasbert
        >>> x = keras.Input((4,))
        >>> model = kerasbert.training.ExactModel(x, keras.layers.Dense(1)(x))
        >>> model.compile("adam", "mse", accumulation_steps=4)  # the memory of 8 rows at a time
        >>> history = model.fit(np.ones((32, 4)), np.ones((32, 1)), batch_size=32, verbose=0)
        >>> model.updates
        1

    Args:
        *args: as in `keras.Model`: symbolic inputs and outputs.
        **kwargs: as in `keras.Model`.
    """

    #: Names of the counts that are logged if `counts_examples` is set.
    counts = SEEN
    #: Whether training counts examples, tokens and positions, and logs the counts.
    counts_examples = False

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *,
        accumulation_steps: int = 1,
        **kwargs: Any,
    ) -> None:
        """Configures the model for training, as Keras's `compile` does.

        Args:
            optimizer: as in Keras.
            loss: as in Keras.
            accumulation_steps: number of microbatches that a batch is split into. They are computed
                one after the other, and the optimizer takes one step with the sum of their
                gradients, so that activations need the memory of one microbatch.
            **kwargs: as in Keras, except that `jit_compile` is False by default on TensorFlow.

        Raises:
            InputError: `accumulation_steps` is less than 1, the optimizer is not exact under a
                strategy, or `jit_compile` is set for several replicas on TensorFlow.
        """
        if accumulation_steps < 1:
            raise InputError(f"accumulation_steps must be 1 or more, found {accumulation_steps}")
        float16 = any(layer.compute_dtype == "float16" for layer in _compat.layers_of(self))
        optimizer = patch_optimizer(keras.optimizers.get(optimizer), float16=float16)
        if ON_TENSORFLOW:
            kwargs = {"jit_compile": False, **kwargs}
            if kwargs["jit_compile"] and self.distribute_strategy.num_replicas_in_sync > 1:
                # Code compiled by XLA can't sum gradients over replicas.
                raise InputError("several replicas can't take jit_compile; leave it out")
        self.accumulation_steps = accumulation_steps
        kwargs["auto_scale_loss"] = False
        super().compile(optimizer=optimizer, loss=global_mean(loss), **kwargs)

    @property
    def updates(self) -> int:
        """The updates so far: a seed of orders and masks that each call of `fit` has for itself."""
        optimizer = getattr(self, "optimizer", None)  # there is none before `compile`
        return 0 if optimizer is None else int(optimizer.iterations.numpy())

    @property
    def needs_few_shapes(self) -> bool:
        """Whether XLA compiles the steps, which it does once for every shape of a batch."""
        if not self.compiled:
            return False
        return self.jit_compile or (ON_TENSORFLOW and is_tpu(self.distribute_strategy))

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the model as Keras's `fit` does.

        Returns:
            Keras's `History`: losses and metrics of every epoch.

        Raises:
            InputError: a callback needs a package that is not installed.
        """
        called = keras.tree.flatten(callbacks)
        needs_package = any(isinstance(one, keras.callbacks.TensorBoard) for one in called)
        if needs_package and importlib.util.find_spec("tensorboard") is None:
            raise InputError(
                "keras.callbacks.TensorBoard needs a package that TensorFlow does not bring: "
                "pip install tensorboard"
            )
        train: Any = super().fit
        return train(x, y, batch_size, epochs, verbose, callbacks, *args, **kwargs)

    # === Used by the steps of every backend ===

    def loss_divisors(self, y: Any, outputs: Any, sample_weight: Any) -> list[Any]:
        """Returns each loss's divisor for the batch.

        Outputs are used for shape and dtype, and computed on only if the loss's shape is unknown.

        Args:
            y: targets of the batch, or of a replica's part of it.
            outputs: outputs of the model, or their shapes and dtypes.
            sample_weight: sample weights, or None.
        """
        _compat.build_losses(self, y, outputs)
        return [
            loss.divisor(*(_at(path, part) for part in (y, outputs, sample_weight)))
            for path, loss in _compat.flat_losses(self)
        ]

    def set_global_batch(self, divisors: list[Any] | None, num_microbatches: float) -> None:
        """Sets the divisors of the next microbatches' losses; see `GlobalBatchLoss`.

        Args:
            divisors: list of the divisors of all losses, or None.
            num_microbatches: number of microbatches.
        """
        for index, (_, loss) in enumerate(_compat.flat_losses(self)):
            loss.set_global_batch(divisors and divisors[index], num_microbatches)

    @staticmethod
    def check_layer_losses(losses: list[Any]) -> None:
        """Raises `InputError` if layers add losses, which can't be divided by the global batch.

        Args:
            losses: list of the losses that layers added.
        """
        if losses:
            raise InputError("accumulation_steps: layers with losses of their own are not exact")

    # === Files ===

    def get_compile_config(self) -> dict[str, Any]:
        """Returns Keras's config with `accumulation_steps`."""
        config = super().get_compile_config()  # None if the model is not compiled
        # It is omitted when 1, because Keras may compile a plain clone from this config.
        if config and self.accumulation_steps > 1:
            config = {**config, "accumulation_steps": self.accumulation_steps}
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a model that Keras loads, as it was compiled when it was saved.

        Args:
            config: dict, the result of `get_compile_config`.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)


def _at(path: tuple, structure):
    """Returns the value at a path of keys; a leaf is the value at every path below it."""
    for key in path:
        if structure is None or not isinstance(structure, dict | list | tuple):
            return structure
        structure = structure[key]
    return structure
