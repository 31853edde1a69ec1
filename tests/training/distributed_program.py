"""Trains small models on fixed numbers and writes what came out; see `test_global_batch.py`.

`python distributed_program.py MODE OUT`: MODE is how many devices, or "worker" with TF_CONFIG set.
"""

import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from kerasbert import Backbone, BackboneConfig, Pretrainer
from kerasbert.layers import Dropout, backends
from kerasbert.training.checkpoints import Checkpoints
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.exact_optimizer import patch_optimizer
from kerasbert.training.loop import train
from kerasbert.training.optimizers import adamw
from kerasbert.training.strategies import make_strategy, prefetched, sharded

BATCH, LENGTH, MASKED, WORDS = 8, 6, 2, 20
ROWS = 4 * BATCH + 3  # four replicas share the last batch's 3 rows: one gets none


def examples(rows=ROWS):
    numbers = np.random.default_rng(0)

    def ids(limit, *shape):
        return numbers.integers(limit, size=(rows, *shape)).astype("int32")

    features = {
        "token_ids": ids(WORDS, LENGTH),
        "padding_mask": np.ones((rows, LENGTH), "int32"),
        "segment_ids": ids(2, LENGTH),
        "mask_positions": ids(LENGTH, MASKED),
    }
    labels = {"mlm_logits": ids(WORDS, MASKED), "nsp_logits": ids(2)}
    weights = {
        "mlm_logits": numbers.choice([0.0, 0.3, 1.0, 3.0], (rows, MASKED)).astype("float32"),
        "nsp_logits": numbers.choice([0.5, 1.0, 4.0], rows).astype("float32"),
    }
    for weight in weights.values():
        weight[BATCH : BATCH + 2] = 0  # the second batch's part of the first of four replicas
        weight[2 * BATCH : 2 * BATCH + 4] = 0  # the third's of the first of two
    return features, labels, weights


def tiny_pretrainer():
    config = BackboneConfig(
        vocabulary_size=WORDS,
        num_layers=1,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=16,
        max_sequence_length=LENGTH,
        dropout=0.0,
        attention_dropout=0.0,
        initializer_range=0.2,
    )
    return Pretrainer(Backbone(config))


def dataset(data):
    return sharded(tf.data.Dataset.from_tensor_slices(data).batch(BATCH).repeat())


def flat(variables):
    return np.concatenate([np.ravel(variable.numpy()) for variable in variables])


def copies(strategy, variables):
    """The values on each replica of this process, one row a replica."""
    values = [strategy.experimental_local_results(variable.value) for variable in variables]
    return np.stack([flat(replica) for replica in zip(*values, strict=True)])


def trained_state(model):
    """The weights, and all that the optimizer keeps but its counters."""
    kept = [v for v in model.optimizer.variables if v.dtype == "float32"]
    return flat([*model.trainable_variables, *kept])


def pretrain(strategy, optimizer, accumulation_steps):
    """20 steps on uneven weights; then one with a NaN and one with an infinite weight."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = tiny_pretrainer()
        model.backbone.gradient_checkpointing = accumulation_steps > 1
        model.compile(optimizer(), accumulation_steps=accumulation_steps, layer_decay=0.9)
    model.counts_examples = True
    before = flat(model.trainable_variables)
    data = examples()
    history = model.fit(dataset(data), epochs=10, steps_per_epoch=2, verbose=0).history
    replicas = copies(strategy, model.trainable_variables)
    state = trained_state(model)
    for bad in (np.nan, np.inf):
        for weight in data[2].values():
            weight[BATCH - 1] = bad  # a row of the last replica
        model.fit(dataset(data), steps_per_epoch=1, verbose=0)
    return {
        "moved": np.abs(replicas[0] - before).max(),
        "weights": replicas,
        "losses": history["loss"],
        "mlm_losses": history["mlm_logits_loss"],
        "accuracies": history["nsp_logits_accuracy"],
        "examples": history["examples"],
        "state": np.stack([state, trained_state(model)]),
        "skipped": int(model.optimizer.skipped_steps.numpy()),
    }


class Losses(keras.callbacks.Callback):
    """The loss that each step logs: the mean since the last report."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(float(logs["loss"]))


def logged_losses(parts, directory):
    """The losses that a run logs.

    Args:
        parts: by strategy, the step at which it is stopped; another one resumes it.
        directory: of its checkpoints.
    """
    losses = Losses()
    for strategy, steps in parts:
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = tiny_pretrainer()
            model.compile(keras.optimizers.SGD(0.1))
        checkpoints = Checkpoints(directory, every_steps=1)
        batches = tf.data.Dataset.from_tensor_slices(examples()).batch(BATCH).repeat()
        end = parts[-1][1]
        train(
            model,
            batches.skip,
            steps,
            checkpoints,
            checkpoints.newest(),
            report_every=end,
            validate=None,
            callbacks=[losses],
        )
    return losses.found


def on_another_device(device, directory):
    """Batches for a model whose weights are on a device other than the host, as on one GPU.

    Returns:
        The names of the devices that hold a batch, and the losses of a run.
    """
    with tf.device(device):
        model = tiny_pretrainer()
        batches = prefetched(tf.data.Dataset.from_tensors(examples(8)).repeat(), model)
        holders = {tensor.backing_device for tensor in tf.nest.flatten(next(iter(batches)))}
        return sorted(holders), logged_losses([(tf.distribute.get_strategy(), 6)], directory)


def fused(strategy):
    """Steps with fused ops on batches of known shapes, as a corpus gives them, and how often."""
    choose, least, chosen = backends.compiles, backends._WORTH_COMPILING, []

    def watched(*inputs):
        chosen.append(choose(*inputs))
        return chosen[-1]

    backends.compiles, backends._WORTH_COMPILING = watched, 1
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = tiny_pretrainer()
        model.compile(keras.optimizers.SGD(0.1))
    data = tf.data.Dataset.from_tensor_slices(examples(2 * BATCH)).batch(BATCH, drop_remainder=True)
    model.fit(sharded(data.repeat()), epochs=1, steps_per_epoch=6, verbose=0)
    backends.compiles, backends._WORTH_COMPILING = choose, least
    return {"weights": copies(strategy, model.trainable_variables), "chosen": chosen}


def bad_gradient(strategy, float16=False):
    """What three steps make of a variable: the second has an infinite gradient on one replica."""
    with strategy.scope():
        variable = keras.Variable(np.ones(2, "float32"))
        optimizer = patch_optimizer(keras.optimizers.SGD(1.0), float16=float16)
        optimizer.build([variable])

    @tf.function
    def step(wrong):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        last = replica == strategy.num_replicas_in_sync - 1
        gradient = tf.where(last & wrong, np.float32(np.inf), 0.5 / strategy.num_replicas_in_sync)
        optimizer.apply([optimizer.scale_loss(tf.stack([gradient, 0.0]))], [variable])

    seen = []
    for wrong in (False, True, False):
        strategy.run(step, args=(tf.constant(wrong),))
        seen.append(copies(strategy, [variable]))
    scale = [float(optimizer.loss_scale.factor.numpy())] if float16 else []
    return np.stack(seen), scale


def linear(strategy, kind):
    """A few steps on uneven weights with the mean squared error."""
    numbers = np.random.default_rng(1)
    data = numbers.normal(size=(BATCH, 3)), numbers.normal(size=(BATCH, 1))
    weights = np.array([1, 0, 0, 0, 2, 5, 5, 3])
    with strategy.scope():
        inputs = keras.Input((3,))
        model = kind(inputs, keras.layers.Dense(1, kernel_initializer="ones")(inputs))
        loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
        model.compile(keras.optimizers.SGD(0.1), loss)
    rows = tuple(part.astype("float32") for part in (*data, weights))
    model.fit(dataset(rows), steps_per_epoch=5, shuffle=False, verbose=0)
    return flat(model.trainable_variables)


def evaluated(strategy):
    """The loss of three batches, one by one and in executions of more steps than are left."""
    rows = np.ones((6, 2), "float32"), np.ones((6, 1), "float32")
    data = tf.data.Dataset.from_tensor_slices(rows).batch(2)
    found = []
    for at_once in (1, 2, 4):
        with strategy.scope():
            inputs = keras.Input((2,))
            model = ExactModel(inputs, keras.layers.Dense(1, kernel_initializer="zeros")(inputs))
            model.compile("sgd", "mse", steps_per_execution=at_once)
        scores = model.evaluate(sharded(data), verbose=0, return_dict=True)
        found.append(scores.get("loss", np.nan))
    return found


def dropped(strategy, kind):
    """The mask of each replica."""
    with strategy.scope():
        layer = kind(0.5, seed=3)
    run = tf.function(lambda: layer(tf.ones((4, 16)), training=True))
    return np.stack(strategy.experimental_local_results(strategy.run(run)))


# === What Keras does by itself ===


def outcome(function):
    """What a function returns, or else the name of what it raises."""
    try:
        return function()
    except Exception as error:
        return type(error).__name__


def plain_model(kind=keras.Model, dtype="float32", **optimizer):
    inputs = keras.Input((2,), dtype=dtype)
    outputs = keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)(
        keras.ops.cast(inputs, "float32")
    )
    model = kind(inputs, outputs)
    model.compile(keras.optimizers.SGD(1.0, **optimizer), keras.losses.MeanSquaredError("sum"))
    return model


def plain_fit(strategy, kind=keras.Model, dtype="float32", **optimizer):
    """Where one step of a linear model without loss scaling ends."""
    with strategy.scope():
        model = plain_model(kind, dtype, **optimizer)
    rows = np.ones((4, 2), dtype), np.full((4, 1), 3.0, "float32")
    data = sharded(tf.data.Dataset.from_tensor_slices(rows).batch(4))
    model.fit(data, verbose=0)
    return flat(model.trainable_variables)


def scaled(strategy):
    """A weight after a step of Keras's loss scaling; replica 1 alone has an infinite gradient."""
    with strategy.scope():
        variable = keras.Variable(np.ones(1, "float32"))
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0))
        optimizer.build([variable])

    @tf.function
    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        optimizer.apply([tf.where(replica == 1, [np.float32(np.inf)], [0.0])], [variable])

    strategy.run(step)
    return flat([variable])


def defects(strategy):
    """The facts that `kerasbert.training.exact_model` is there for."""
    accumulation = {"gradient_accumulation_steps": 2}
    return {
        "bool_input": outcome(lambda: plain_fit(strategy, dtype="bool")),
        "bool_input_here": outcome(lambda: plain_fit(strategy, ExactModel, dtype="bool")),
        "accumulation": outcome(lambda: plain_fit(strategy, **accumulation)),
        "clipped": plain_fit(strategy, global_clipnorm=1.0),
        "clipped_here": plain_fit(strategy, ExactModel, global_clipnorm=1.0),
        "loss_scale": scaled(strategy),
    }


def main(mode, out):
    # The graphs are small and run a few times: rewriting them takes longer.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if mode == "worker":
        strategy = make_strategy("multiworker")
    elif mode == "1":
        strategy = make_strategy("none")
    else:
        strategy = make_strategy("mirrored", int(mode))
    runs = {
        "sgd": (lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.5), 1),
        "adamw": (lambda: adamw(1e-2, clip_norm=0.5, ema=0.9), 1),
        # 3 pieces of a replica's 8, 4 or 2 rows: some are empty.
        "pieces": (lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.5), 3),
    }
    found = {"replicas": strategy.num_replicas_in_sync}
    for name, run in runs.items():
        found |= {f"{name}_{k}": v for k, v in pretrain(strategy, *run).items()}
    found["bad_gradient"], _ = bad_gradient(strategy)
    found["bad_float16"], found["loss_scale"] = bad_gradient(strategy, float16=True)
    if mode == "2":
        found |= {f"defect_{name}": value for name, value in defects(strategy).items()}
        alone = tf.distribute.get_strategy()
        parts = {"logged": [(alone, 6)], "logged_resumed": [(alone, 3), (strategy, 6)]}
        for name, of in parts.items():
            with tempfile.TemporaryDirectory() as directory:
                found[name] = logged_losses(of, directory)
        with tempfile.TemporaryDirectory() as directory:
            devices, losses = on_another_device("CPU:1", directory)
        found |= {"prefetched_to": devices, "prefetched": losses}
    if mode == "worker":
        found["defect_workers"] = outcome(lambda: plain_fit(strategy))
        found["defect_workers_here"] = plain_fit(strategy, ExactModel)
        found["evaluated"] = evaluated(strategy)
    found |= {f"fused_{k}": v for k, v in fused(strategy).items()}
    if mode in ("1", "2"):
        found["linear_exact"] = linear(strategy, ExactModel)
        found["linear_keras"] = linear(strategy, keras.Model)
        found["dropped"] = dropped(strategy, Dropout)
        found["dropped_keras"] = dropped(strategy, keras.layers.Dropout)
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
