"""Trains small models on fixed numbers on Keras's backend; see `test_steps_jax.py`.

`python steps_program.py MODE OUT`: MODE names a function of `MODES`. What takes time here is that
XLA compiles each step for each shape of a batch, so what runs in every `make test` has few.
"""

import contextlib
import functools
import sys

import keras
import numpy as np

from kerasbert import Backbone, BackboneConfig, Pretrainer, TextClassifier
from kerasbert.layers import backends, vocabulary_loss
from kerasbert.training import Distiller
from kerasbert.training.optimizers import adamw, fits_keep_weights, lamb

BATCH, LENGTH, MASKED, WORDS = 8, 8, 2, 24
ROWS = BATCH + 3  # of the last batch no device has as many as another
# Every option of training at once.
ALL = {
    "accumulation_steps": 3,
    "gradient_checkpointing": True,
    "layer_decay": 0.9,
    "ema": 0.9,
    "clip_norm": 0.5,
}
# Each alone; without gradient clipping the norm is no part of a step.
OPTIONS = {
    "default": {},
    "plain": {"clip_norm": None},
    **{name: {name: value} for name, value in ALL.items()},
    "lamb": {"optimizer": lamb},
    "all": ALL,
}


def backbone(dropout=0.0, dtype=None, num_layers=1, hidden_dim=16):
    config = BackboneConfig(
        vocabulary_size=WORDS,
        num_layers=num_layers,
        hidden_dim=hidden_dim,
        num_heads=4,
        intermediate_dim=32,
        max_sequence_length=LENGTH,
        dropout=dropout,
        attention_dropout=dropout,
        pooler=True,
    )
    return Backbone(config, dtype=dtype)


def features(numbers, rows):
    is_token = np.arange(LENGTH) < numbers.integers(3, LENGTH + 1, (rows, 1))
    return {
        "token_ids": (numbers.integers(1, WORDS, is_token.shape) * is_token).astype("int32"),
        "padding_mask": is_token.astype("int32"),
        "segment_ids": (numbers.integers(0, 2, is_token.shape) * is_token).astype("int32"),
    }


def pretraining(rows=ROWS, **model):
    """A model and its data: masked tokens and rows have uneven weights, some of them none."""
    numbers = np.random.default_rng(0)
    x = features(numbers, rows)
    x["mask_positions"] = numbers.integers(0, 3, (rows, MASKED)).astype("int32")
    y = {
        "mlm_logits": numbers.integers(0, WORDS, (rows, MASKED)).astype("int32"),
        "nsp_logits": numbers.integers(0, 2, rows).astype("int32"),
    }
    weights = {
        "mlm_logits": numbers.choice([0.0, 0.3, 1.0, 3.0], (rows, MASKED)).astype("float32"),
        "nsp_logits": numbers.choice([0.5, 1.0, 4.0], rows).astype("float32"),
    }
    weights["mlm_logits"][: BATCH // 2] = 0  # the first of two devices has none
    return Pretrainer(backbone(**model)), (x, y, weights)


def classification(rows=ROWS, **model):
    numbers = np.random.default_rng(1)
    y = numbers.integers(0, 3, rows).astype("int32")
    return TextClassifier(backbone(**model), ["a", "b", "c"]), (features(numbers, rows), y, None)


def distillation(rows=ROWS):
    """A student that is narrower than its teacher, and learns from its layers too."""
    student, data = classification(rows)
    teacher = TextClassifier(backbone(num_layers=2, hidden_dim=24), student.classes)
    set_weights(teacher)
    return Distiller(teacher, student, hidden="mse", attention="mse"), data


TASKS = {"pretraining": pretraining, "classification": classification}


def set_weights(model, scale=0.2) -> None:
    numbers = np.random.default_rng(2)
    for variable in sorted(model.weights, key=lambda v: v.path):
        value = numbers.normal(0, scale, variable.shape)
        variable.assign(value + (variable.path.split("/")[-1] == "gamma"))


def compiled(model, optimizer=adamw, accumulation_steps=1, gradient_checkpointing=False, **options):
    layer_decay = options.pop("layer_decay", None)
    model.backbone.gradient_checkpointing = gradient_checkpointing
    rate = options.pop("rate", 0.01)
    model.compile(
        optimizer(rate, **options), accumulation_steps=accumulation_steps, layer_decay=layer_decay
    )
    model.counts_examples = True
    return model


def fit(model, data, **kwargs) -> dict:
    with fits_keep_weights(model):
        kwargs = {"batch_size": BATCH, "shuffle": False, "verbose": 0, **kwargs}
        return model.fit(*data[:2], sample_weight=data[2], **kwargs).history


def cut(data, first, last):
    """Some rows of a dataset."""
    return keras.tree.map_structure(lambda x: None if x is None else x[first:last], data)


def with_nan(data):
    """One batch, in which no gradient is finite."""
    x, y, weights = cut(data, 0, BATCH)
    if weights is None:
        weights = np.ones(BATCH, "float32")
    weights = keras.tree.map_structure(np.copy, weights)
    keras.tree.flatten(weights)[0][-1] = np.nan
    return x, y, weights


def state(model) -> dict:
    """Weights and averages by path, and counters."""
    found = {f"weight/{v.path}": np.array(v.value) for v in model.trainable_variables}
    averages = getattr(model.optimizer, "_model_variables_moving_average", [])
    for variable, average in zip(model.trainable_variables, averages, strict=bool(averages)):
        found[f"average/{variable.path}"] = np.array(average.value)
    found["skipped"] = np.array(model.optimizer.skipped_steps.value)
    return found


def run(make, rows=ROWS, **options) -> dict:
    """Two epochs, between them a batch that is skipped."""
    model, data = make(rows)
    set_weights(model)
    compiled(model, **options)
    histories = [fit(model, data), fit(model, with_nan(data)), fit(model, data)]
    found = {name: np.array([float(h[name][-1]) for h in histories]) for name in histories[0]}
    return {**found, **state(model)}


def flat(name: str, found: dict) -> dict:
    return {f"{name}/{key}": value for key, value in found.items()}


def all_at_once() -> dict:
    """Equal microbatches, of which XLA compiles one; `options` has unequal ones."""
    return flat("pretraining/all", run(pretraining, BATCH, **{**ALL, "accumulation_steps": 2}))


def options() -> dict:
    found = {}
    for task, make in TASKS.items():
        for name, chosen in OPTIONS.items():
            found |= flat(f"{task}/{name}", run(make, **chosen))
    whole = {**ALL, "accumulation_steps": 1}
    return {
        **found,
        **flat("classification/whole", run(classification, BATCH, **whole)),
        **flat("distillation/all", run(distillation, BATCH, **ALL)),
    }


# === Devices ===


def meshes(count: int, model: int):
    """A distribution over so many devices, `model` of which share one copy."""
    devices = keras.distribution.list_devices("cpu")[:count]
    if model == 1:
        return keras.distribution.DataParallel(devices=devices)
    mesh = keras.distribution.DeviceMesh((count // model, model), ("batch", "model"), devices)
    layouts = Backbone.get_layout_map(mesh)
    return keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")


def on_devices(distribution, answers=False) -> dict:
    """A step's loss and gradients; with `answers` what the model answers, of 3 rows at last too."""
    with distribution.scope() if distribution else contextlib.nullcontext():
        model, data = pretraining()
        set_weights(model)
        compiled(model, keras.optimizers.SGD, rate=0.1, accumulation_steps=2)
        before = {v.path: np.array(v.value) for v in model.trainable_variables}
        losses = fit(model, cut(data, 0, BATCH))["loss"]
        gradients = {
            f"gradient/{v.path}": (before[v.path] - np.array(v.value)) / 0.1
            for v in model.trainable_variables
        }
        query = model.backbone.blocks[0].attention.query.kernel.value
        found = {**gradients, "losses": losses, "parts": len({*map(str, shards(query))})}
        if not answers:
            return found
        x, y, weights = data
        kwargs = {"batch_size": BATCH, "verbose": 0}
        scores = model.evaluate(x, y, sample_weight=weights, return_dict=True, **kwargs)
        # Only layers whose output is read everywhere have fused attention.
        del x["mask_positions"]
        encoded = model.backbone.predict(x, **kwargs)
        return {**found, **flat("evaluated", scores), **flat("encoded", encoded)}


def more_on_devices(distribution) -> dict:
    """The same, and training with all options, or dropout, on batches of any size."""
    found = on_devices(distribution, answers=True)
    with distribution.scope() if distribution else contextlib.nullcontext():
        make = functools.partial(pretraining, num_layers=2)
        return {**found, **flat("all", run(make, **ALL)), **flat("dropped", dropped())}


def shards(value) -> list:
    return [shard.index for shard in value.addressable_shards]


def dropped() -> dict:
    """Weights after steps with dropout."""
    keras.utils.set_random_seed(3)
    model, data = classification(dropout=0.2)
    set_weights(model)
    compiled(model)
    fit(model, data)
    return state(model)


def devices(function, kinds) -> dict:
    found = flat("1", function(None))
    for count, model in kinds:
        found |= flat(f"{count}x{model}", function(meshes(count, model)))
    return found


# === Resuming ===


class Keep(keras.callbacks.Callback):
    """Keeps the state after a step, in the middle of `fit`."""

    def __init__(self, step: int):
        super().__init__()
        self.step, self.values = step, None

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.step:
            self.model.sync_state()
            self.values = [np.array(v.value) for v in variables(self.model)]


def variables(model) -> list:
    return [*model.variables, *model.optimizer.variables]


def resumable(dtype=None):
    model, data = pretraining(rows=4 * BATCH, dropout=0.2, dtype=dtype)
    data[2]["nsp_logits"][BATCH] = np.nan  # the second step is skipped
    set_weights(model)
    return compiled(model, **{**ALL, "accumulation_steps": 2}), data


def values(name: str, model) -> dict:
    return flat(name, {str(i): np.array(v.value) for i, v in enumerate(variables(model))})


def first(dtype) -> dict:
    """Four steps without a stop, and the state after the second."""
    keras.utils.set_random_seed(5)
    model, data = resumable(dtype)
    keep = Keep(2)
    fit(model, data, callbacks=[keep])
    return {**{f"kept/{i}": value for i, value in enumerate(keep.values)}, **values("end", model)}


def second(dtype, kept) -> dict:
    """The last two steps, from what `first` has found."""
    keras.utils.set_random_seed(17)  # what is drawn comes from the state
    model, data = resumable(dtype)
    model.optimizer.build(model.trainable_variables)
    for number, variable in enumerate(variables(model)):
        variable.assign(kept[f"kept/{number}"])
    fit(model, cut(data, 2 * BATCH, 4 * BATCH))
    return values("end", model)


# === Half precision, memory ===


def precision() -> dict:
    found = {}
    for dtype in ("float32", "mixed_bfloat16", "mixed_float16"):
        make = functools.partial(pretraining, dtype=dtype)
        found |= flat(dtype, run(make, BATCH, ema=0.9))
    return found


def beside(path) -> dict:
    """What another process has written."""
    return np.load(path.replace("second.npz", "first.npz"))


def resumed() -> dict:
    found = first("float32")
    return {**found, **flat("resumed", second("float32", found))}


MODES = {
    "all": lambda path: all_at_once(),
    "quick": lambda path: {
        **all_at_once(),
        **devices(on_devices, [(4, 2)]),
        **resumed(),
    },
    "options": lambda path: {**options(), **flat("precision", precision())},
    "devices": lambda path: devices(
        more_on_devices, [(2, 1), (4, 1), (8, 1), (2, 2), (4, 2), (8, 2), (8, 4)]
    ),
    "second": lambda path: second("float32", beside(path)),
    "half_first": lambda path: first("mixed_float16"),
    "half_second": lambda path: second("mixed_float16", beside(path)),
}


if __name__ == "__main__":
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # The graphs are small and run a few times: rewriting them takes longer.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    else:
        # Five parts of this small vocabulary; TensorFlow computes all logits at once.
        backends._TOKENS_AT_ONCE, vocabulary_loss._ALIGNED = 5, 1
    mode, path = sys.argv[1:]
    np.savez(path, **MODES[mode](path))
