"""Every use of what Keras and TensorFlow do not promise to keep, each with its reason.

All else in kerasbert goes by their documented interfaces (`tests/test_compat.py` holds that). So a
new release of either can break only what is here; each function names the test that would notice.
`tests/versions.py` runs the tests with other releases.

`kerasbert.registration` reads this module before Keras is imported, and on JAX there is no
TensorFlow, so functions that need either import it themselves.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

#: The module of Keras that keeps what is registered. Registering there needs the class, that is
#: its module, where a stand-in does. Test: tests/test_families.py::test_keras_file
REGISTRY = "keras.src.saving.object_registration"


def registered(registry) -> dict:
    """What Keras keeps under registered names, of the module `REGISTRY`.

    `keras.saving.get_custom_objects` is the same, but Keras must be whole to be asked.
    Test: tests/test_families.py::test_keras_file
    """
    return registry.GLOBAL_CUSTOM_OBJECTS


# === Layers ===


def layers_of(model) -> Iterator:
    """A model, its layers, theirs and so on; `model.layers` has the first of them only.

    Test: tests/tasks/test_state.py::test_frozen_layers_can_be_unfrozen
    """
    return model._flatten_layers()


def set_trainable(layer, value: bool) -> None:
    """Makes one layer trainable or not, without those inside.

    On TensorFlow `layer.trainable = value` does nothing where the layer itself has that value, and
    so leaves other values inside it.
    Test: tests/tasks/test_state.py::test_frozen_layers_can_be_unfrozen
    """
    layer._trainable = value
    for variable in layer._trainable_variables:
        variable.trainable = value


def variable_of(layer, name: str):
    """The variable behind `layer.kernel` or `layer.embeddings`, which may be sums with an adapter.

    Test: tests/tasks/test_state.py::test_adapters_are_merged_in_a_file
    """
    return getattr(layer, f"_{name}")


# === Models that are compiled ===


def given_loss(model):
    """The loss that a model was compiled with, as it was given; None: it is not compiled, or none.

    Test: tests/tasks/test_text_input.py::test_class_probabilities_as_labels
    """
    return model._compile_loss and model._compile_loss._user_loss


def given_metrics(model, kind: str):
    """The `metrics` or `weighted_metrics` that a model was compiled with, as they were given.

    Test: tests/distillation/test_distillation.py::test_the_whole_loss
    """
    return model._compile_metrics and getattr(model._compile_metrics, f"_user_{kind}")


def build_losses(model, y, outputs) -> None:
    """Lets a compiled model look up its losses, which Keras does at the first batch.

    Test: tests/training/test_global_batch.py::test_a_batch_in_pieces_is_the_whole_batch
    """
    if model._compile_loss is not None and not model._compile_loss.built:
        model._compile_loss.build(y, outputs)


def flat_losses(model) -> list[tuple[tuple, Any]]:
    """Where each loss of a compiled model is among its outputs, and the loss; see `build_losses`.

    To cut a batch exactly, each loss must be told what the whole batch weighs.
    Test: tests/training/test_global_batch.py::test_a_batch_in_pieces_is_the_whole_batch
    """
    return [(path, loss) for path, loss, *_ in model._compile_loss._flat_losses]


def compute_loss(model, x, y, y_pred, sample_weight):
    """The loss of a training step, as Keras's own step computes it.

    Unlike `model.compute_loss` it lets subclasses leave `training` out.
    Test: tests/training/test_global_batch.py::test_a_batch_in_pieces_is_the_whole_batch
    """
    return model._compute_loss(x, y, y_pred, sample_weight, training=True)


def loss_tracker(model):
    """The metric in which a compiled model reports its loss.

    A step of our own must update what Keras's step would.
    Test: tests/training/test_global_batch.py::test_a_batch_in_pieces_is_the_whole_batch
    """
    return model._loss_tracker


def build_on_batch(model, batch) -> None:
    """Makes the variables of optimizer and metrics, which Keras makes at the first batch of `fit`.

    A checkpoint is restored into them before that.
    Test: tests/scripts/test_resume.py::test_killed_run_matches_an_uninterrupted_run
    """
    model._symbolic_build(data_batch=batch)


def update_metrics(model, values, loss, x, y, y_pred, sample_weight) -> tuple:
    """What Keras's step on JAX does with metrics: their results, and their values after a batch.

    Test: tests/training/test_steps_jax.py::test_same_as_on_tensorflow
    """
    return model._update_metrics_variables(values, loss, x, y, y_pred, sample_weight)


def share_out_any_batch() -> None:
    """Lets Keras on JAX take batches whose rows can't be divided among the devices.

    Such a batch, usually the last of an epoch, is given whole to every device, which Keras refuses.
    The function is for all models of the process; batches that can be divided are as in Keras.
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
    """The `keras.StatelessScope` that is entered, or None.

    Test: tests/training/test_steps_jax.py::test_same_as_on_tensorflow
    """
    from keras.src.backend.common.stateless_scope import get_stateless_scope

    return get_stateless_scope()


class CountHooks:
    """Lets a step log what is no metric.

    A mixin, to be named before `keras.Model`.
    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """

    #: Logs of a step that are no metrics.
    counts: tuple[str, ...] = ()

    def _get_metrics_result_or_logs(self, logs):
        # If logs hold more than metrics, Keras takes those of the last step, which are the mean of
        # what the replicas have each, in place of the metrics of all of them together.
        counts = {name: logs[name] for name in self.counts if name in logs}
        others = {name: value for name, value in logs.items() if name not in counts}
        return {**super()._get_metrics_result_or_logs(others), **counts}


class TrainerHooks(CountHooks):
    """Methods of Keras's trainer on TensorFlow that no subclass was meant to change.

    A mixin, to be named before `keras.Model`.
    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """

    def step_data(self, data):
        """What a step computes with, of the data that `fit` gives it."""
        return data

    def step_function(self, step: Callable) -> Callable | None:
        """A function of an iterator that runs a step on its next batch; None: Keras's.

        Keras reduces metrics over workers along an axis that they don't have.
        """
        return None

    def _symbolic_build(self, iterator=None, data_batch=None):
        super()._symbolic_build(data_batch=self.step_data(data_batch))

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras reduces the first batch to its mean over replicas, which fails on several workers.
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

#: What an optimizer may do in its own way beside `update_step`.
#: Test: tests/training/test_optimizers.py::test_optimizers_that_can_not_be_exact
OPTIMIZER_HOOKS = (
    "apply",
    "_backend_apply_gradients",
    "_backend_update_step",
    "_apply_weight_decay",
)


def track(optimizer, variable) -> None:
    """Makes a variable one of an optimizer's, as those that are its attributes are.

    Test: tests/training/test_steps_jax.py::test_resumed_run_is_the_same
    """
    optimizer._track_variable(variable)


def replace_apply(optimizer, apply: Callable) -> None:
    """Lets `apply(gradients, variables)` do all that an optimizer does in a step.

    Keras clips, decays and averages before and after it adds up gradients over replicas; the one
    method that can be overridden, `apply`, is what does the rest of the bookkeeping.
    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """
    optimizer._backend_apply_gradients = apply


def strategy_of(optimizer):
    """The strategy in whose scope an optimizer was made.

    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """
    return optimizer._distribution_strategy


def given_rate(optimizer):
    """The learning rate as it was given: a variable, a schedule or a function.

    Test: tests/training/test_optimizers.py::test_numbers_that_are_not_finite
    """
    return optimizer._learning_rate


def clipped(optimizer, gradients: Sequence) -> Sequence:
    """Gradients, by an optimizer's `clipnorm`, `clipvalue` or `global_clipnorm`.

    Test: tests/training/test_optimizers.py::test_optimizers_of_keras_do_what_they_do_in_keras
    """
    return optimizer._clip_gradients(gradients)


def place_of(optimizer, variable) -> int:
    """The place of a variable's moments in an optimizer's lists of them.

    Test: tests/training/test_optimizers.py::test_adamw_in_one_pass_equals_keras
    """
    return optimizer._get_variable_index(variable)


def average_of(optimizer, variable):
    """The moving average of a variable, of an optimizer with `use_ema`.

    Test: tests/training/test_optimizers.py::test_moving_average
    """
    return optimizer._model_variables_moving_average[place_of(optimizer, variable)]


def moments_of(adam, variable) -> tuple:
    """Both moments of a variable, of Keras's Adam and AdamW.

    Test: tests/training/test_optimizers.py::test_adamw_in_one_pass_equals_keras
    """
    place = place_of(adam, variable)
    return adam._momentums[place], adam._velocities[place]


def is_decayed(optimizer, variable) -> bool:
    """Whether an optimizer's weight decay is for this variable.

    Test: tests/training/test_optimizers.py::test_adamw_decays_kernels_and_embeddings_only
    """
    return optimizer._use_weight_decay(variable)


def takes_adamw(muon, variable) -> bool:
    """Whether Keras's Muon treats a variable as AdamW does, with another weight decay.

    Test: tests/training/test_optimizers.py::test_optimizers_of_keras_do_what_they_do_in_keras
    """
    return muon._should_use_adamw(variable)


def momentum_product(nadam):
    """The variable that Keras's Nadam multiplies once a step, before it changes any weight.

    Test: tests/training/test_optimizers.py::test_nadam_after_a_skipped_step
    """
    return nadam._u_product


# === TensorFlow ===


def merge_call(function: Callable, strategy, *args) -> None:
    """Calls `function(strategy, *args)` once for all replicas, or at once where there is one.

    `ReplicaContext.merge_call` puts what is inside of conditions and loops out of their graphs, and
    fails under strategies that have no use for it; TensorFlow's own optimizers call this.
    Test: tests/training/test_global_batch.py::test_weights_and_losses_are_those_of_one_device
    """
    import tensorflow as tf

    tf.__internal__.distribute.interim.maybe_merge_call(function, strategy, *args)


def sentencepiece_resource(model: bytes, name: str):
    """A SentencePiece model as a resource that is shared by its name.

    TensorFlow Text's tokenizer makes one without a name, which `tf.random.set_seed` throws away.
    Test: tests/text/test_sentencepiece.py::test_a_seed_does_not_throw_the_model_away
    """
    from tensorflow_text.python.ops.sentencepiece_tokenizer import gen_sentencepiece_tokenizer

    return gen_sentencepiece_tokenizer.sentencepiece_op(model=model, shared_name=name)


def set_sentencepiece_resource(tokenizer, resource) -> None:
    """Gives a tokenizer of TensorFlow Text the model to use.

    Test: tests/text/test_sentencepiece.py::test_a_seed_does_not_throw_the_model_away
    """
    tokenizer._model_resource = resource


def stable_fingerprint(data: bytes) -> bytes:
    """A SavedModel's `fingerprint.pb`, with an id made from its hashes in place of a random one.

    Test: tests/serving/test_export.py::test_same_model_same_bytes
    """
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    fingerprint = FingerprintDef.FromString(data)
    fingerprint.ClearField("uuid")
    digest = hashlib.sha256(fingerprint.SerializeToString(deterministic=True)).digest()
    fingerprint.uuid = str(int.from_bytes(digest[:16], "big"))
    return fingerprint.SerializeToString(deterministic=True)
