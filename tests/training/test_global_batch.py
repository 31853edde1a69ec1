import importlib.util
import json
import pathlib

import keras
import numpy as np
import programs
import pytest
import tensorflow as tf
from distributed_program import BATCH, ROWS, examples, tiny_pretrainer

from kerasbert import InputError
from kerasbert.layers import Dropout
from kerasbert.training.exact_model import ExactModel
from kerasbert.training.exact_optimizer import patch_optimizer
from kerasbert.training.global_loss import FunctionLoss, GlobalBatchLoss, global_mean
from kerasbert.training.launch import clusters
from kerasbert.training.optimizers import adamw, fits_keep_weights
from kerasbert.training.strategies import prefetched

PROGRAM = pathlib.Path(__file__).with_name("distributed_program.py")
SHARED_OUT = ["2", pytest.param("4", marks=pytest.mark.full), "worker0", "worker1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, request):
    """What `distributed_program.py` found with 1, 2 and 4 replicas and as two workers."""
    modes = ("1", "2", "4") if request.config.getoption("--full") else ("1", "2")
    # One thread each: there are five processes.
    threads = {f"TF_NUM_{kind}OP_THREADS": "1" for kind in ("INTER", "INTRA")}
    workers = {
        f"worker{index}": ("worker", {**threads, "TF_CONFIG": json.dumps(cluster)})
        for index, cluster in enumerate(clusters(2))
    }
    alone = {mode: (mode, threads) for mode in modes}
    return programs.arrays(PROGRAM, tmp_path_factory.mktemp("runs"), {**workers, **alone})


# === N replicas do what one device does ===


@pytest.mark.parametrize("mode", SHARED_OUT)
@pytest.mark.parametrize(("optimizer", "limit"), [("sgd", 1e-6), ("adamw", 2e-5)])
def test_weights_and_losses_are_those_of_one_device(runs, mode, optimizer, limit):
    one, run = runs["1"], runs[mode]
    assert run["replicas"] == (int(mode) if mode.isdigit() else 2)
    assert one[f"{optimizer}_moved"] > 0.05
    weights = run[f"{optimizer}_weights"]
    assert len(weights) == (int(mode) if mode.isdigit() else 1)
    for replica in weights:
        np.testing.assert_allclose(replica, one[f"{optimizer}_weights"][0], rtol=0, atol=limit)
    assert 0.2 < one[f"{optimizer}_accuracies"].mean() < 1
    assert one[f"{optimizer}_examples"][-1] == 20 * BATCH - (BATCH - ROWS % BATCH) * 4
    for name in ("losses", "mlm_losses", "accuracies", "examples"):
        found, expected = (of[f"{optimizer}_{name}"] for of in (run, one))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("mode", SHARED_OUT)
def test_average_is_that_of_one_device(runs, mode):
    np.testing.assert_allclose(
        runs[mode]["adamw_state"][0], runs["1"]["adamw_state"][0], rtol=0, atol=2e-5
    )


@pytest.mark.parametrize("mode", ["1", *SHARED_OUT])
def test_a_batch_in_pieces_is_the_whole_batch(runs, mode):
    whole, run = runs["1"], runs[mode]
    for replica in run["pieces_weights"]:
        np.testing.assert_allclose(replica, whole["sgd_weights"][0], rtol=0, atol=1e-6)
    for name in ("losses", "mlm_losses", "accuracies"):
        np.testing.assert_allclose(run[f"pieces_{name}"], whole[f"sgd_{name}"], rtol=1e-5)


def test_logged_losses_are_those_of_one_device(runs):
    """From the step on at which another number of replicas resumes; the fifth batch is short."""
    run = runs["2"]
    assert len(set(run["logged"])) == len(run["logged_resumed"]) == 6
    np.testing.assert_allclose(run["logged_resumed"], run["logged"], rtol=1e-6)


def test_batches_are_copied_ahead_to_the_device_of_the_weights(runs):
    """To a GPU, that is; here the second of two virtual CPU devices is as far from the host."""
    run = runs["2"]
    (device,) = run["prefetched_to"]
    assert device.endswith("CPU:1")
    np.testing.assert_allclose(run["prefetched"], run["logged"], rtol=1e-6)


@pytest.mark.parametrize("devices", [None, ["CPU:0", "CPU:1"]])
def test_the_host_and_strategies_need_no_copies(devices):
    strategy = tf.distribute.MirroredStrategy(devices) if devices else tf.distribute.get_strategy()
    with strategy.scope():
        model = tiny_pretrainer()
    batches = tf.data.Dataset.from_tensors(examples(8))
    assert prefetched(batches, model) is batches


def test_updates_of_several_replicas():
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = _model()
        model.compile("sgd", "mse")
    assert model.updates == 0
    model.optimizer.iterations.assign(3)
    assert model.updates == 3


@pytest.mark.parametrize("mode", SHARED_OUT)
def test_fused_ops_on_several_replicas(runs, mode):
    one, run = runs["1"], runs[mode]
    for chosen in (one["fused_chosen"], run["fused_chosen"]):
        assert chosen.all()
        assert len(chosen) >= 3  # GELU and two losses, on each replica
    for replica in run["fused_weights"]:
        np.testing.assert_allclose(replica, one["fused_weights"][0], rtol=0, atol=1e-6)


def test_any_model_is_exact(runs):
    np.testing.assert_allclose(runs["2"]["linear_exact"], runs["1"]["linear_exact"], atol=1e-6)


def test_plain_keras_is_not_exact(runs):
    np.testing.assert_array_equal(runs["1"]["linear_keras"], runs["1"]["linear_exact"])
    assert np.abs(runs["2"]["linear_keras"] - runs["1"]["linear_keras"]).max() > 1e-3


@pytest.mark.parametrize("mode", ["1", *SHARED_OUT])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "pieces"])
def test_a_bad_sample_weight_changes_nothing(runs, mode, optimizer):
    before, after = runs[mode][f"{optimizer}_state"]
    assert np.isfinite(before).all()
    np.testing.assert_array_equal(after, before)
    assert runs[mode][f"{optimizer}_skipped"] == 2


@pytest.mark.parametrize("mode", ["1", *SHARED_OUT])
@pytest.mark.parametrize("kind", ["bad_gradient", "bad_float16"])
def test_a_bad_gradient_of_one_replica_changes_no_replica(runs, mode, kind):
    seen = runs[mode][kind]  # (step, replica, 2)
    np.testing.assert_array_equal(seen[..., 1], np.ones(seen.shape[:2]))
    expected = np.broadcast_to([[0.5], [0.5], [0.0]], seen.shape[:2])
    np.testing.assert_allclose(seen[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("mode", ["1", *SHARED_OUT])
def test_a_bad_gradient_of_one_replica_halves_the_loss_scale(runs, mode):
    assert runs[mode]["loss_scale"].tolist() == [2.0**14]


@pytest.mark.parametrize("worker", ["worker0", "worker1"])
def test_the_last_execution_may_have_fewer_steps(runs, worker):
    np.testing.assert_allclose(runs[worker]["evaluated"], [1, 1, 1])


# === What Keras does by itself: when one of these fails, a way round can go ===


def test_keras_takes_no_bool_input_on_several_replicas(runs):
    assert str(runs["2"]["defect_bool_input"]) == "InvalidArgumentError"
    assert runs["2"]["defect_bool_input_here"].dtype == "float32"


def test_keras_does_not_accumulate_on_several_replicas(runs):
    assert str(runs["2"]["defect_accumulation"]) in ("RuntimeError", "ValueError")


def test_keras_clips_before_it_adds_up(runs):
    norms = {
        name: np.linalg.norm(runs["2"][f"defect_{name}"]) for name in ("clipped", "clipped_here")
    }
    assert norms["clipped_here"] == pytest.approx(1, abs=1e-5)
    assert norms["clipped"] > 1.1


def test_keras_looks_at_one_replica_when_it_scales_losses(runs):
    assert not np.isfinite(runs["2"]["defect_loss_scale"]).all()


def test_keras_does_not_fit_on_several_workers(runs):
    for worker in ("worker0", "worker1"):
        assert runs[worker]["defect_workers"].dtype.kind == "U"  # the name of an error
        assert runs[worker]["defect_workers_here"].dtype == "float32"


def test_keras_forgets_the_state_of_dropout(tmp_path):
    def model():
        inputs = keras.Input((4,))
        return keras.Model(inputs, keras.layers.Dropout(0.5, seed=1)(inputs))

    first, second = model(), model()
    for _ in range(3):
        first(np.ones((1, 4)), training=True)
    first.save_weights(tmp_path / "of.weights.h5")
    second.load_weights(tmp_path / "of.weights.h5")
    states = [one.layers[-1].seed_generator.state.numpy()[1] for one in (first, second)]
    assert states == [3, 0]


# === Dropout ===


def test_dropout_differs_between_replicas(runs):
    masks = runs["2"]["dropped"]
    assert (masks[0] != masks[1]).any()
    assert (np.isin(masks, (0, 2))).all()
    keras_masks = runs["2"]["dropped_keras"]
    assert (keras_masks == keras_masks[0]).all()


def test_dropout_on_one_device_is_that_without_a_strategy(runs):
    expected = Dropout(0.5, seed=3)(np.ones((4, 16)), training=True)
    np.testing.assert_array_equal(runs["1"]["dropped"][0], expected)
    assert (Dropout(0.3)(np.ones((2, 2))) == np.ones((2, 2))).numpy().all()


@pytest.mark.parametrize("reduction", ["mean_with_sample_weight", "sum_over_batch_size"])
def test_weight_of_a_batch_is_known_without_its_outputs(reduction):
    loss = GlobalBatchLoss(
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    )
    specs = tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([None, 2, 5])
    function = tf.function(lambda y, x: loss.divisor(y, x, [1.0, 2.0, 3.0]))
    graph = function.get_concrete_function(*specs)
    y, x = tf.zeros([3, 2], tf.int32), tf.zeros([3, 2, 5])
    assert graph(y, x) == loss.sums(y, x, [1.0, 2.0, 3.0])[1]
    needed, left = set(), [graph.outputs[0].op]
    while left:
        op = left.pop()
        if op not in needed:
            needed.add(op)
            left += [*op.control_inputs, *(tensor.op for tensor in op.inputs)]
    assert graph.graph.inputs[1].op not in needed


def test_weights_may_have_a_last_axis():
    loss = GlobalBatchLoss(keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"))
    data = np.float32([[0], [1]]), np.float32([[1], [3]])
    flat, column = np.float32([1, 3]), np.float32([[1], [3]])
    for kind in (loss.sums, loss.loss):
        np.testing.assert_allclose(kind(*data, column), kind(*data, flat))


# === Optimizers ===


@pytest.mark.parametrize(
    "option",
    [
        {"gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_overwrite_frequency": 3},
    ],
)
def test_options_that_are_not_exact(option):
    with pytest.raises(InputError, match=f"an optimizer with {list(option)[-1]} is not exact"):
        _model().compile(keras.optimizers.SGD(0.1, **option), "mse")


def _model():
    inputs = keras.Input((2,))
    return ExactModel(inputs, keras.layers.Dense(1, kernel_initializer="ones")(inputs))


X, Y = np.array([[1.0, 2.0], [0.5, -1.0]], "float32"), np.array([[1.0], [2.0]], "float32")


def test_average_of_the_weights():
    model = _model()
    model.compile(adamw(0.1, ema=0.8), "mse")
    average = None
    for _ in range(4):
        with fits_keep_weights(model):
            model.fit(X, Y, verbose=0)
        weights = model.get_weights()
        old = weights if average is None else average
        average = [0.8 * a + 0.2 * w for a, w in zip(old, weights, strict=True)]
    kept = model.optimizer._model_variables_moving_average
    for variable, expected, weight in zip(kept, average, weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)
        assert np.abs(variable.numpy() - weight).max() > 0.01


def test_fit_ends_with_the_averages():
    """As in Keras; and `save` keeps them."""
    models = [_model(), keras.Model.from_config(_model().get_config())]
    for model in models:
        model.layers[-1].set_weights([np.ones((2, 1)), np.zeros(1)])
        model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
        model.fit(X, Y, epochs=3, verbose=0)
    for ours, theirs in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    averages = models[0].optimizer._model_variables_moving_average
    for weight, average in zip(models[0].get_weights(), averages, strict=True):
        np.testing.assert_array_equal(weight, average.numpy())


def test_skipped_steps_leave_no_averages_of_nothing():
    model = _model()
    model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")
    model.fit(X * np.nan, Y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], np.ones((2, 1)))


def test_average_begins_with_the_first_step_that_counts():
    variable = keras.Variable(np.ones(1, "float32"))
    optimizer = patch_optimizer(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9))
    for gradient in (np.nan, 1.0):
        optimizer.apply([tf.constant([gradient], "float32")], [variable])
    np.testing.assert_allclose(variable.numpy(), [0.5])
    np.testing.assert_allclose(optimizer._model_variables_moving_average[0].numpy(), [0.5])


def test_counts_of_skipped_steps():
    variable = keras.Variable(np.ones(1, "float32"))
    optimizer = patch_optimizer(keras.optimizers.SGD(0.5))
    seen = []
    for gradient in (np.nan, 1.0, np.inf, -np.inf):
        optimizer.apply([tf.constant([gradient], "float32")], [variable])
        seen.append((int(optimizer.skipped_steps), int(optimizer.skipped_in_a_row)))
    assert seen == [(1, 1), (1, 0), (2, 1), (3, 2)]
    np.testing.assert_allclose(variable.numpy(), [0.5])


def test_no_variable_is_one_that_gpus_have_no_place_for():
    # TensorFlow keeps int32 variables on the host, and XLA then refuses the step on a GPU.
    pairs = keras.Sequential([keras.Input((2,)), Dropout(0.5), keras.layers.Dense(1)])
    model = ExactModel(pairs.inputs, pairs.outputs)
    model.compile(adamw(1e-3, ema=0.9), "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    scaled = patch_optimizer(keras.optimizers.SGD(), float16=True)
    owners = [model.optimizer, scaled, scaled.loss_scale]
    found = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    found += [v for one in owners for v in vars(one).values() if isinstance(v, keras.Variable)]
    assert {v.dtype for v in found} == {"float32", "int64"}


def test_a_scale_that_float16_has_no_number_for():
    variable = keras.Variable(np.ones(1), dtype="float16")
    optimizer = patch_optimizer(keras.optimizers.SGD(1.0), float16=True)
    optimizer.loss_scale.factor.assign(2.0**16)
    optimizer.apply([tf.constant([2.0**15], "float16")], [variable])
    assert variable.numpy().tolist() == [0.5]


def test_sparse_gradients():
    table = keras.Variable(np.ones((3, 1), "float32"))
    optimizer = patch_optimizer(keras.optimizers.SGD(1.0, global_clipnorm=0.5))
    optimizer.build([table])
    for value, left in ((np.inf, 1.0), (4.0, 0.5)):
        gradient = tf.IndexedSlices(tf.constant([[value]]), tf.constant([1]), tf.constant([3, 1]))
        optimizer.apply([gradient], [table])
        np.testing.assert_allclose(table.numpy(), [[1], [left], [1]])


# === Losses ===


def _square(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


@pytest.mark.parametrize(
    "loss", ["mse", "mean_squared_error", _square, keras.losses.MeanSquaredError()]
)
def test_one_loss(loss):
    made = global_mean(loss)
    assert isinstance(made, GlobalBatchLoss)
    assert global_mean(made) is made
    weight = np.array([1.0, 3.0], "float32")
    outputs = np.zeros((2, 1), "float32")
    assert float(made(Y, outputs)) == pytest.approx(2.5)
    assert float(made(Y, outputs, weight)) == pytest.approx(6.5)


def test_function_loss_has_the_name_of_the_function():
    assert FunctionLoss(_square).name == global_mean(_square).name == "_square"


def test_many_losses():
    assert global_mean(None) is None
    made = global_mean({"a": "mse", "b": [_square, None]})
    assert isinstance(made["a"], GlobalBatchLoss)
    assert isinstance(made["b"][0], GlobalBatchLoss)
    assert made["b"][1] is None


@pytest.mark.parametrize("loss", ["mse", _square, {"dense": "mse"}, ["mse"]])
def test_compile_and_fit(loss):
    inputs = keras.Input((2,))
    layer = keras.layers.Dense(1, kernel_initializer="ones", name="dense")
    outputs = {"dense": layer(inputs)} if isinstance(loss, dict) else layer(inputs)
    model = ExactModel(inputs, outputs)
    model.compile("sgd", loss)
    y = {"dense": Y} if isinstance(loss, dict) else Y
    history = model.fit(X, y, verbose=0).history
    assert history["loss"] == [pytest.approx((2**2 + 2.5**2) / 2)]


def test_keras_file_keeps_the_loss(tmp_path):
    model = tiny_pretrainer()
    loss = keras.losses.SparseCategoricalCrossentropy(True, reduction="sum_over_batch_size")
    model.compile(loss={"mlm_logits": loss, "nsp_logits": "sparse_categorical_crossentropy"})
    features, labels, weights = examples(8)
    model.fit(features, labels, sample_weight=weights, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    reductions = {"mlm_logits": "sum_over_batch_size", "nsp_logits": "mean_with_sample_weight"}
    for name, loss in loaded.loss.items():
        assert isinstance(loss, GlobalBatchLoss)
        assert loss.reduction == reductions[name]
        assert loss.get_config() == model.loss[name].get_config()
    # The optimizer goes on too.
    for ours, theirs in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_an_optimizer_may_be_compiled_twice():
    model = _model()
    model.compile(adamw(0.1), "mse")
    model.fit(X, Y, verbose=0)
    before = len(model.optimizer.variables)
    model.compile(model.optimizer, "mse")
    assert len(model.optimizer.variables) == before


def test_a_lambda_as_loss():
    """As in Keras, labels without a last axis of one get it."""
    model = _model()
    model.compile("sgd", lambda y_true, y_pred: keras.ops.square(y_true - y_pred))
    assert model.loss.name == "lambda"
    history = model.fit(X, Y[:, 0], verbose=0).history
    assert history["loss"] == [pytest.approx((2**2 + 2.5**2) / 2)]


def test_tensorboard_needs_its_package(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    model = _model()
    model.compile("sgd", "mse")
    callback = keras.callbacks.TensorBoard(tmp_path)
    with pytest.raises(InputError, match="that TensorFlow does not bring: pip install tensorboard"):
        model.fit(X, Y, verbose=0, callbacks=[callback])


def test_losses_are_cast_as_by_keras():
    loss = global_mean("mse")
    data = tf.constant([[0]]), tf.constant([[300]], "float16")  # its square is infinite in float16
    divisor = loss.divisor(*data)
    values = [float(loss(*data))]
    loss.set_global_batch(divisor, 1)
    values.append(float(loss(*data)))
    assert values == [90000, 90000]
    assert divisor.dtype == "float32"


def test_masks_of_keras():
    """A loss of one device multiplies weights by them, and others refuse them."""
    outputs = keras.layers.Embedding(3, 1, "ones", mask_zero=True)(np.array([[1, 0, 0, 2]]))
    labels = np.zeros((1, 4, 1), "float32")
    loss = global_mean(keras.losses.MeanSquaredError(reduction="sum"))
    assert float(loss(labels, outputs)) == 2
    loss.set_global_batch(loss.divisor(labels, outputs), 1)
    with pytest.raises(InputError, match=r"the outputs have a mask .*; give it as sample_weight"):
        loss(labels, outputs)


# === One weight for each row of several outputs ===


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_weights_of_rows(rows):
    """Keras multiplies (rows, 4) losses by (rows,) weights as if they were those of columns."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, (rows, 4))
    logits = random.normal(0, 1, (rows, 4, 5)).astype("float32")
    weights = np.arange(1, rows + 1, dtype="float32")
    scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -np.take_along_axis(scores, labels[..., None], -1)[..., 0]
    for reduction, by in {
        "mean_with_sample_weight": 4 * weights.sum(),
        "sum_over_batch_size": losses.size,
    }.items():
        loss = GlobalBatchLoss(
            keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
        )
        expected = (losses * weights[:, None]).sum() / by
        assert float(loss(labels, logits, weights)) == pytest.approx(expected, rel=1e-5)
        assert float(loss(labels, logits, weights[:, None] * np.ones((1, 4)))) == pytest.approx(
            expected, rel=1e-5
        )


def test_functions_that_return_one_number():
    """Their value is the mean of the batch: that of microbatches counts by their rows."""
    random = np.random.default_rng(0)
    labels, outputs = (tf.constant(random.normal(0, 1, 6), "float32") for _ in range(2))
    loss = global_mean(lambda y, p: keras.ops.mean(keras.ops.square(y - p)))
    expected = np.square(labels - outputs).mean()
    assert float(loss(labels, outputs)) == pytest.approx(expected, rel=1e-5)
    assert float(loss.divisor(labels, outputs)) == 6
    loss.set_global_batch(loss.divisor(labels, outputs), 2)
    parts = [float(loss(labels[part], outputs[part])) for part in (slice(4), slice(4, 6))]
    assert np.mean(parts) == pytest.approx(expected, rel=1e-5)
