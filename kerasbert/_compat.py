"""All uses of private API of Keras, TensorFlow and tf2onnx, each with its reason.

The rest of kerasbert uses only documented API (`tests/test_compat.py` checks this), so a new
release can break only what is in this module. Each function names the test that would fail, and
`tests/versions.py` runs the tests with other releases.

`kerasbert.registration` imports this module before Keras is imported, and on JAX TensorFlow need
not be installed, so functions import them when they are called.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

#: The module of Keras with the registry of serializable objects. Keras's decorator would import the
#: class; here a stand-in is enough. Test: tests/test_families.py::test_keras_file
REGISTRY = "keras.src.saving.object_registration"


def registered(registry) -> dict:
    """Returns Keras's dict of registered objects by name, from the module `REGISTRY`.

    `keras.saving.get_custom_objects` returns the same dict, but only after Keras is imported.
    Test: tests/test_families.py::test_keras_file
    """
    return registry.GLOBAL_CUSTOM_OBJECTS


# === Layers ===


def layers_of(model) -> Iterator:
    """Returns a model and all layers nested in it; `model.layers` has the outermost only.

    Test: tests/tasks/test_state.py::test_frozen_layers_can_be_unfrozen
    """
    return model._flatten_layers()


def set_trainable(layer, value: bool) -> None:
    """Sets `trainable` of one layer, without its sublayers.

    On TensorFlow `layer.trainable = value` does nothing if the layer already has that value, even
    if its sublayers have another.
    Test: tests/tasks/test_state.py::test_frozen_layers_can_be_unfrozen
    """
    layer._trainable = value
    for variable in layer._trainable_variables:
        variable.trainable = value


def variable_of(layer, name: str):
    """Returns the variable of `layer.kernel` or `layer.embeddings`, without an adapter's weights.

    Test: tests/tasks/test_state.py::test_adapters_are_merged_in_a_file
    """
    return getattr(layer, f"_{name}")


# === Compiled models ===


def given_loss(model):
    """Returns the `loss` argument that a model was compiled with; None: not compiled, or no loss.

    Test: tests/tasks/test_text_input.py::test_class_probabilities_as_labels
    """
    return model._compile_loss and model._compile_loss._user_loss


def given_metrics(model, kind: str):
    """Returns the `metrics` or `weighted_metrics` argument that a model was compiled with.

    Test: tests/distillation/test_distillation.py::test_the_whole_loss
    """
    return model._compile_metrics and getattr(model._compile_metrics, f"_user_{kind}")


def build_losses(model, y, outputs) -> None:
    """Builds the losses of a compiled model, which Keras does at the first batch.

    Test: tests/training/test_global_batch.py::test_a_batch_in_pieces_is_the_whole_batch
    """
    if model._compile_loss is not None and not model._compile_loss.built:
        model._compile_loss.build(y, outputs)


def flat_losses(model) -> list[tuple[tuple, Any]]:
    """Returns (path in the outputs, loss) pairs of a compiled model; see `build_losses`.

    Each loss needs the divisor of the whole batch, for microbatches to be exact.
    Test: tests/training/test_global_batch.py::test_a_batch_in_pieces_is_the_whole_batch
    """
    return [(path, loss) for path, loss, *_ in model._compile_loss._flat_losses]


def mask_of(outputs):
    """Returns the mask that Keras's layers gave to a tensor, or None.

    Keras's losses multiply weights by it.
    Test: tests/training/test_global_batch.py::test_masks_of_keras
    """
    from keras.src.backend.common.masking import get_keras_mask

    return get_keras_mask(outputs)


def compute_loss(model, x, y, y_pred, sample_weight):
    """Returns the loss of a training step, as Keras's own step computes it.

    Unlike `model.compute_loss` it supports overrides of that method without `training`.
    Test: tests/training/test_global_batch.py::test_a_batch_in_pieces_is_the_whole_batch
    """
    return model._compute_loss(x, y, y_pred, sample_weight, training=True)


def loss_tracker(model):
    """Returns the metric that tracks the loss of a compiled model.

    A custom step must update it as Keras's step does.
    Test: tests/training/test_global_batch.py::test_a_batch_in_pieces_is_the_whole_batch
    """
    return model._loss_tracker


def build_on_batch(model, batch) -> None:
    """Creates the variables of optimizer and metrics, which `fit` creates at its first batch.

    A checkpoint is restored before that.
    Test: tests/scripts/test_resume.py::test_killed_run_matches_an_uninterrupted_run
    """
    model._symbolic_build(data_batch=batch)


def update_metrics(model, values, loss, x, y, y_pred, sample_weight) -> tuple:
    """Updates metrics as Keras's step on JAX does; returns the logs and the new metric variables.

    Test: tests/training/test_steps_jax.py::test_same_as_on_tensorflow
    """
    return model._update_metrics_variables(values, loss, x, y, y_pred, sample_weight)


def share_out_any_batch() -> None:
    """Lets Keras on JAX accept batches whose rows can't be divided evenly among the devices.

    Such a batch, usually the last of an epoch, is replicated on every device; Keras raises an
    error. This applies to all models of the process; other batches are sharded by Keras.
    Test: tests/training/test_steps_jax.py::test_any_number_of_devices_is_one_device
    """
    import jax
    import keras
    from keras.src.backend.jax import trainer

    share_out = trainer._distribute_data

    def distribute_data(data, layouts=None):
        distribution = keras.distribution.distribution()
        rows = keras.tree.flatten(data)[0].shape[0]
        if (
            distribution is None
            or rows % distribution.num_model_replicas == 0
            or distribution.num_processes > 1
        ):
            return share_out(data, layouts)
        whole = jax.sharding.NamedSharding(
            distribution.device_mesh.backend_mesh, jax.sharding.PartitionSpec()
        )
        return keras.tree.map_structure(lambda x: jax.device_put(x, whole), data)

    trainer._distribute_data = distribute_data


def stateless_scope():
    """Returns the active `keras.StatelessScope`, or None.

    Test: tests/training/test_steps_jax.py::test_same_as_on_tensorflow
    """
    from keras.src.backend.common.stateless_scope import get_stateless_scope

    return get_stateless_scope()


if TYPE_CHECKING:
    from keras import Model as _Model
else:
    _Model = object  # the class after the mixin is one


class StepHooks(_Model):
    """Lets a step log values that are not metrics, and use other data than `fit` has.

    A mixin, to be listed before `keras.Model`.
    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """

    #: Names of a step's logs that are not metrics.
    counts: tuple[str, ...] = ()

    def step_data(self, data):
        """Returns the data that a step uses, from the data that `fit` passes to it."""
        return data

    def _symbolic_build(self, iterator=None, data_batch=None):
        def prepared():  # read only if something is not built yet
            for begin, end, batches in [(0, 1, [data_batch])] if iterator is None else iterator:
                batch = batches[0] if isinstance(batches, list | tuple) else next(batches)
                yield begin, end, [self.step_data(batch)]

        super()._symbolic_build(iterator=prepared())

    def _get_metrics_result_or_logs(self, logs):
        # If logs contain other values than metrics, Keras returns the logs of the last step, which
        # are means over replicas, instead of the metrics of all replicas together.
        counts = {name: logs[name] for name in self.counts if name in logs}
        others = {name: value for name, value in logs.items() if name not in counts}
        return {**super()._get_metrics_result_or_logs(others), **counts}


class TrainerHooks(StepHooks):
    """Overrides private methods of Keras's trainer on TensorFlow.

    A mixin, to be listed before `keras.Model`.
    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """

    def step_function(self, step: Callable) -> Callable | None:
        """Returns a function that runs `step` on an iterator's next batch; None: use Keras's.

        Keras's function reduces logs of several workers along an axis that they don't have.
        """
        return None

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras reduces the first batch over replicas, which fails on several workers.
        import keras

        if self._distribute_strategy is None:
            return
        strategy = self.distribute_strategy
        if iterator is not None:
            _, _, batches = next(iter(iterator))
            data_batch = keras.tree.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], next(batches)
            )
        with strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def _make_function(self, step_function):
        own = self.step_function(step_function)
        return super()._make_function(step_function) if own is None else own


# === Optimizers ===

#: Methods besides `update_step` that an optimizer may override.
#: Test: tests/training/test_optimizers.py::test_optimizers_that_can_not_be_exact
OPTIMIZER_HOOKS = (
    "apply",
    "_backend_apply_gradients",
    "_backend_update_step",
    "_apply_weight_decay",
)


def track(optimizer, variable) -> None:
    """Adds a variable to an optimizer's variables, as Keras does for its attributes.

    Test: tests/training/test_steps_jax.py::test_resumed_run_is_the_same
    """
    optimizer._track_variable(variable)


def replace_apply(optimizer, apply: Callable) -> None:
    """Replaces the update of an optimizer by `apply(gradients, variables)`.

    Keras clips gradients before it sums them over replicas, and decays and averages weights outside
    of that; the only method that may be overridden, `apply`, also does the other bookkeeping.
    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """
    optimizer._backend_apply_gradients = apply


def strategy_of(optimizer):
    """Returns the strategy in whose scope an optimizer was created.

    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """
    return optimizer._distribution_strategy


def given_rate(optimizer):
    """Returns an optimizer's learning rate: a variable, a schedule or a function.

    Test: tests/training/test_optimizers.py::test_numbers_that_are_not_finite
    """
    return optimizer._learning_rate


def clipped(optimizer, gradients: Sequence) -> Sequence:
    """Returns gradients clipped by an optimizer's `clipnorm`, `clipvalue` or `global_clipnorm`.

    Test: tests/training/test_optimizers.py::test_optimizers_of_keras_do_what_they_do_in_keras
    """
    return optimizer._clip_gradients(gradients)


def place_of(optimizer, variable) -> int:
    """Returns the index of a variable's moments in an optimizer's lists of moments.

    Test: tests/training/test_optimizers.py::test_adamw_in_one_pass_equals_keras
    """
    return optimizer._get_variable_index(variable)


def average_of(optimizer, variable):
    """Returns the moving average of a variable, for an optimizer with `use_ema`.

    Test: tests/training/test_optimizers.py::test_moving_average
    """
    return optimizer._model_variables_moving_average[place_of(optimizer, variable)]


def moments_of(adam, variable) -> tuple:
    """Returns the first and second moment of a variable, for Keras's Adam and AdamW.

    Test: tests/training/test_optimizers.py::test_adamw_in_one_pass_equals_keras
    """
    place = place_of(adam, variable)
    return adam._momentums[place], adam._velocities[place]


def is_decayed(optimizer, variable) -> bool:
    """Returns whether an optimizer applies weight decay to a variable.

    Test: tests/training/test_optimizers.py::test_adamw_decays_kernels_and_embeddings_only
    """
    return optimizer._use_weight_decay(variable)


def takes_adamw(muon, variable) -> bool:
    """Returns whether Keras's Muon updates a variable by AdamW, which has its own weight decay.

    Test: tests/training/test_optimizers.py::test_optimizers_of_keras_do_what_they_do_in_keras
    """
    return muon._should_use_adamw(variable)


def momentum_product(nadam):
    """Returns the variable that Keras's Nadam multiplies once per step, before all updates.

    Test: tests/training/test_optimizers.py::test_nadam_after_a_skipped_step
    """
    return nadam._u_product


# === TensorFlow ===


def merge_call(function: Callable, strategy, *args) -> None:
    """Calls `function(strategy, *args)` once for all replicas, or directly if it needs no merging.

    `ReplicaContext.merge_call` moves operations out of the graphs of conditions and loops, and
    fails under strategies that do not need it; TensorFlow's own optimizers call this function.
    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """
    import tensorflow as tf

    tf.__internal__.distribute.interim.maybe_merge_call(function, strategy, *args)


def sentencepiece_resource(model: bytes, name: str):
    """Creates a resource with a SentencePiece model, shared by its name.

    TensorFlow Text's tokenizer creates one without a name, which `tf.random.set_seed` discards.
    Test: tests/text/test_sentencepiece.py::test_a_seed_does_not_throw_the_model_away
    """
    from tensorflow_text.python.ops.sentencepiece_tokenizer import gen_sentencepiece_tokenizer

    return gen_sentencepiece_tokenizer.sentencepiece_op(model=model, shared_name=name)


def set_sentencepiece_resource(tokenizer, resource) -> None:
    """Sets the SentencePiece resource of a TensorFlow Text tokenizer.

    Test: tests/text/test_sentencepiece.py::test_a_seed_does_not_throw_the_model_away
    """
    tokenizer._model_resource = resource


def stable_fingerprint(data: bytes) -> bytes:
    """Returns a SavedModel's `fingerprint.pb` with an id derived from its hashes, not random.

    Test: tests/serving/test_export.py::test_same_model_same_bytes
    """
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    fingerprint: Any = FingerprintDef.FromString(data)
    fingerprint.ClearField("uuid")
    digest = hashlib.sha256(fingerprint.SerializeToString(deterministic=True)).digest()
    fingerprint.uuid = str(int.from_bytes(digest[:16], "big"))
    return fingerprint.SerializeToString(deterministic=True)


# === tf2onnx ===


@contextlib.contextmanager
def onnx_optimized_in_place() -> Iterator[None]:
    """Context in which tf2onnx does not keep a copy of the weights after each of its passes.

    It runs 24 passes at least: with 12 layers of 768 the copies filled 24 GB.
    Test: tests/serving/test_runtimes.py::test_onnx_keeps_no_copies
    """
    from tf2onnx.graph import Node

    update = Node.update_proto

    def update_anew(self, external_tensor_storage=None):
        # A message never frees what is removed from it.
        new = type(self._op)()
        del self._op.attribute[:]
        new.CopyFrom(self._op)
        self._op = new
        update(self, external_tensor_storage)

    Node.update_proto = update_anew
    # With this variable, tf2onnx does not copy the model for the case that a pass fails.
    name = "TF2ONNX_CATCH_ERRORS"
    before = os.environ.get(name)
    os.environ[name] = "FALSE"
    try:
        yield
    finally:
        Node.update_proto = update
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
