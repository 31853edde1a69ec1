import math

import keras
import numpy as np
import pytest

from kerasbert import InputError
from kerasbert.layers import TransformerBlock
from kerasbert.training.exact_optimizer import patch_optimizer
from kerasbert.training.optimizers import LAMB, OPTIMIZERS, adamw, lamb, updates
from kerasbert.training.schedules import DECAYS, Warmup, WarmupStableDecay


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (30, 0.5), (49, 0.025), (50, 0.0), (60, 0.0)],
)
def test_warmup_linear(step, expected):
    schedule = Warmup(2.0, steps=50, warmup_steps=10)
    assert float(schedule(step)) == pytest.approx(2 * expected)


def test_warmup_linear_without_warmup_starts_at_the_peak():
    assert float(Warmup(0.5, steps=10)(0)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"decay": "linear"}, lambda t: 1 - t),
        ({"decay": "cosine"}, lambda t: (1 + math.cos(math.pi * t)) / 2),
        ({"decay": "polynomial"}, lambda t: (1 - t) ** 2),
        ({"decay": "polynomial", "power": 0.5}, lambda t: (1 - t) ** 0.5),
        ({"decay": "constant"}, lambda t: 1),
    ],
)
@pytest.mark.parametrize("floor", [0.0, 0.25])
def test_decays(options, left, floor):
    schedule = Warmup(2.0, steps=50, warmup_steps=10, floor=floor, **options)
    assert [float(schedule(step)) for step in (0, 4, 9)] == pytest.approx([0.2, 1.0, 2.0])
    for step in (10, 20, 37, 50, 60):
        past = min(1, (step - 10) / 40)
        expected = 2 * (floor + (1 - floor) * left(past))
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-6), step


@pytest.mark.parametrize(("decay", "root"), [("linear", 1.0), ("sqrt", 0.5)])
def test_warmup_stable_decay(decay, root):
    schedule, longer = (
        WarmupStableDecay(2.0, steps, warmup_steps=10, decay_steps=20, decay=decay)
        for steps in (100, 200)
    )
    found = [float(schedule(step)) for step in range(101)]
    assert found[:11] == pytest.approx([2 * (step + 1) / 10 for step in range(10)] + [2.0])
    assert found[9:81] == [2.0] * 72
    expected = [2 * (1 - (past / 20) ** root) for past in range(21)]
    assert found[80:] == pytest.approx(expected, abs=1e-6)
    assert found[100] == 0
    assert [float(longer(step)) for step in range(81)] == found[:81]
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(restored(step)) for step in range(101)] == found
    with pytest.raises(InputError, match="linear or sqrt, found 'cosine'"):
        WarmupStableDecay(1.0, steps=5, decay="cosine")


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_betas_and_epsilon(name):
    numbers = {"beta_1": 0.8, "beta_2": 0.98, "epsilon": 1e-3}
    optimizer = OPTIMIZERS[name](0.1, weight_decay=0.0, clip_norm=None, **numbers)
    variable = keras.Variable(np.zeros(1), name="bias")
    optimizer.build([variable])
    for gradient in (1.0, 2.0):
        optimizer.apply([np.array([gradient], "float32")], [variable])
    first, second = (0.8 * 0.2 + 0.2 * 2) / 0.36, (0.98 * 0.02 + 0.02 * 4) / (1 - 0.98**2)
    # AdamW adds epsilon before the bias correction, as Keras does.
    epsilons = [1e-3 / math.sqrt(1 - 0.98**t) if name == "adamw" else 1e-3 for t in (1, 2)]
    expected = -0.1 / (1 + epsilons[0]) - 0.1 * first / (math.sqrt(second) + epsilons[1])
    assert float(variable[0]) == pytest.approx(expected, rel=1e-4)


def test_unknown_decay():
    with pytest.raises(InputError, match=f"one of {', '.join(DECAYS)}, found 'exponential'"):
        Warmup(1.0, steps=5, decay="exponential")


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e39])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("learning_rate", keras.optimizers.SGD),
        ("peak", lambda value: adamw(Warmup(value, steps=5))),
        ("weight_decay", lambda value: adamw(1e-3, weight_decay=value)),
        ("lamb_decay", lambda value: lamb(1e-3, weight_decay=value)),
        ("global_clipnorm", lambda value: lamb(1e-3, clip_norm=value)),
    ],
)
def test_numbers_that_are_not_finite(name, make, value):
    with pytest.raises(InputError, match=f"{name} must be a finite number"):
        patch_optimizer(make(value))


@pytest.mark.parametrize("decay", DECAYS)
def test_warmup_config(decay):
    schedule = Warmup(2.0, steps=50, warmup_steps=10, decay=decay, floor=0.1, power=3.0)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert restored.get_config() == schedule.get_config()
    assert [float(restored(step)) for step in (3, 20)] == [float(schedule(s)) for s in (3, 20)]


def test_adamw_decays_kernels_and_embeddings_only():
    block = TransformerBlock(num_heads=2, intermediate_dim=8)
    block.build((None, 3, 4))
    embedding = keras.layers.Embedding(5, 4)
    embedding.build(None)
    variables = block.trainable_variables + embedding.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    optimizer = adamw(0.1, weight_decay=0.5)
    optimizer.apply([np.zeros(v.shape, "float32") for v in variables], variables)

    left = {v.path: 0.95 if v.name in ("kernel", "embeddings") else 1.0 for v in variables}
    assert set(left.values()) == {0.95, 1.0}
    for variable in variables:
        np.testing.assert_allclose(variable.numpy(), left[variable.path], err_msg=variable.path)


@pytest.mark.parametrize(("clip_norm", "factor"), [(1.0, 0.2), (10.0, 1.0), (None, 1.0)])
def test_adamw_clips_the_global_norm(clip_norm, factor):
    optimizer = adamw(0.1, clip_norm=clip_norm)
    gradients = [np.array([3.0], "float32"), np.array([4.0], "float32")]
    variables = [keras.Variable(np.zeros(1), name=name) for name in "ab"]
    optimizer.build(variables)
    optimizer.apply(gradients, variables)
    # The first moment after one step is (1 - beta_1) times the gradient that was used.
    moments = [float(v[0]) for v in optimizer.variables if "momentum" in v.path]
    np.testing.assert_allclose(moments, [0.3 * factor, 0.4 * factor], rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"clip_norm": None}, {"ema": 0.9}])
def test_adamw_in_one_pass_equals_keras(options):
    numbers = np.random.default_rng(0)
    shapes = {"kernel": (3, 4), "bias": (4,), "embeddings": (7, 4)}
    starts = {name: numbers.normal(size=shape) for name, shape in shapes.items()}
    schedule = Warmup(0.01, steps=20, warmup_steps=3)
    ours = adamw(schedule, weight_decay=0.1, **options)
    config = ours.get_config()
    del config["not_decayed"]
    theirs = keras.optimizers.AdamW.from_config(config)
    theirs.exclude_from_weight_decay(var_names=["bias"])
    sides = [[keras.Variable(start, name=name) for name, start in starts.items()] for _ in "ab"]
    for step in range(10):
        gradients = [numbers.normal(size=shape).astype("float32") for shape in shapes.values()]
        gradients[2][step % 7 :] = 0
        for optimizer, variables in zip((ours, theirs), sides, strict=True):
            optimizer.apply(gradients, variables)
        for one, other in zip(*sides, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6, atol=1e-6)
    for one, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-7)


def test_adamw_config():
    optimizer = adamw(0.2, weight_decay=0.3)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert type(restored) is type(optimizer)
    assert restored.get_config() == optimizer.get_config()


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_skipped_steps_are_not_corrected_for(make):
    """A gradient that is not finite leaves an optimizer as if there had been no such step."""
    gradient = np.array([1.0, 3.0], "float32")
    found = []
    for gradients in ([gradient], [gradient * np.inf, gradient]):
        variable = keras.Variable(np.ones(2), name="kernel")
        optimizer = patch_optimizer(make(0.1))
        optimizer.build([variable])
        for one in gradients:
            optimizer.apply([one], [variable])
        found.append(variable.numpy())
    assert int(updates(optimizer)) == 1
    assert abs(found[0] - 1).max() > 0.01
    np.testing.assert_array_equal(*found)


def test_adamw_epsilon():
    assert adamw(0.1).epsilon == 1e-6


# === LAMB ===


def lamb_step(state, gradient, step, rate, decay, decayed):
    """You et al. 2020, algorithm 2, on one variable, with bias correction."""
    weight, first, second = state
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * gradient**2
    update = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-6)
    if decayed:
        update = update + decay * weight
        norms = np.linalg.norm(weight), np.linalg.norm(update)
        update = update * (norms[0] / norms[1] if min(norms) > 0 else 1)
    return weight - rate * update, first, second


@pytest.mark.parametrize("schedule", [0.1, Warmup(0.1, steps=8, warmup_steps=2)])
def test_lamb_is_that_of_the_paper(schedule):
    numbers = np.random.default_rng(0)
    variables = [
        keras.Variable(numbers.normal(size=shape), name=name)
        for name, shape in (("kernel", (3, 4)), ("bias", (4,)), ("gamma", (4,)))
    ]
    optimizer = lamb(schedule, weight_decay=0.3, clip_norm=None)
    states = [(v.numpy().astype("float64"), 0.0, 0.0) for v in variables]
    for step in range(1, 6):
        gradients = [numbers.normal(size=v.shape).astype("float32") for v in variables]
        optimizer.apply(gradients, variables)
        rate = schedule if isinstance(schedule, float) else float(schedule(step - 1))
        states = [
            lamb_step(state, gradient, step, rate, 0.3, variable.name == "kernel")
            for state, gradient, variable in zip(states, gradients, variables, strict=True)
        ]
        for variable, (expected, _, _) in zip(variables, states, strict=True):
            np.testing.assert_allclose(variable.numpy(), expected, atol=1e-5, err_msg=variable.name)


def test_lamb_of_zero_weights_has_no_trust_ratio():
    kernel = keras.Variable(np.zeros((2, 2)), name="kernel")
    gradient = np.array([[1, -2], [3, 0]], "float32")
    lamb(0.1, clip_norm=None).apply([gradient], [kernel])
    np.testing.assert_allclose(kernel.numpy(), -0.1 * np.sign(gradient), rtol=1e-5)


def test_lamb_without_update_stays_finite():
    kernel = keras.Variable(np.ones((2, 2)), name="kernel")
    lamb(0.1, weight_decay=0.0).apply([np.zeros((2, 2), "float32")], [kernel])
    np.testing.assert_array_equal(kernel.numpy(), np.ones((2, 2)))


def test_lamb_has_no_second_decay_of_keras():
    assert lamb(0.1, weight_decay=0.3).weight_decay is None


def test_lamb_config():
    optimizer = LAMB(0.2, lamb_decay=0.3, beta_1=0.8, beta_2=0.9, epsilon=1e-3, clipnorm=2.0)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert isinstance(restored, LAMB)
    assert restored.get_config() == optimizer.get_config()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moving_average(name):
    assert not OPTIMIZERS[name](0.1).use_ema
    optimizer = OPTIMIZERS[name](0.1, ema=0.75)
    variable = keras.Variable(np.ones(2), name="bias")
    average = None
    for _ in range(3):
        optimizer.apply([np.ones(2, "float32")], [variable])
        value = variable.numpy()
        average = value if average is None else 0.75 * average + 0.25 * value
    kept = optimizer._model_variables_moving_average[0].numpy()
    np.testing.assert_allclose(kept, average, rtol=1e-6)
    assert np.abs(kept - value).min() > 0.01


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_share_their_arguments(name):
    optimizer = OPTIMIZERS[name](0.1, clip_norm=3.0)
    assert optimizer.global_clipnorm == 3.0
    assert optimizer.epsilon == 1e-6
    assert OPTIMIZERS[name](0.1).global_clipnorm == 1.0


@pytest.mark.parametrize("make", [adamw, lamb])
def test_what_is_not_decayed_stays_so_in_a_file(make):
    again = keras.optimizers.deserialize(keras.optimizers.serialize(make(0.1)))
    variables = [
        keras.Variable(np.ones(2, "float32"), name=name) for name in ("kernel", "bias", "gamma")
    ]
    again.build(variables)
    assert [again._use_weight_decay(v) for v in variables] == [True, False, False]


# === Keras's own optimizers, made exact ===

_OPTIMIZERS = [
    kind
    for kind in vars(keras.optimizers).values()
    if isinstance(kind, type) and issubclass(kind, keras.optimizers.Optimizer)
]
_WRAPPERS = [
    keras.optimizers.Optimizer,
    keras.optimizers.LossScaleOptimizer,
    keras.optimizers.MultiOptimizer,
]
KERAS_OPTIMIZERS = {k.__name__: k for k in _OPTIMIZERS if k not in _WRAPPERS}


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.3, "clipnorm": 0.5}], ids=str)
@pytest.mark.parametrize("name", KERAS_OPTIMIZERS)
def test_optimizers_of_keras_do_what_they_do_in_keras(name, options):
    numbers = np.random.default_rng(0)
    shapes = {"kernel": (3, 4), "bias": (4,), "embeddings": (7, 4)}
    starts = {name: np.float32(numbers.normal(size=s)) for name, s in shapes.items()}
    steps = [[numbers.normal(size=s).astype("float32") for s in shapes.values()] for _ in range(5)]
    found = []
    for change in (patch_optimizer, lambda optimizer: optimizer):
        variables = [keras.Variable(start, name=name) for name, start in starts.items()]
        optimizer = change(KERAS_OPTIMIZERS[name](0.1, use_ema=True, ema_momentum=0.5, **options))
        optimizer.build(variables)
        for gradients in steps:
            optimizer.apply(gradients, variables)
        values = [v.numpy() for v in variables]
        optimizer.finalize_variable_values(variables)
        found.append([*values, *(v.numpy() for v in variables)])
    for ours, theirs in zip(*found, strict=True):
        assert np.isfinite(theirs).all()
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    assert len(KERAS_OPTIMIZERS) >= 14
    assert abs(found[0][0] - starts["kernel"]).max() > 1e-4


def test_nadam_after_a_skipped_step():
    """The product of its momentums leaves out what the gradients left out."""
    variable = keras.Variable(np.ones(2), name="kernel")
    optimizer = patch_optimizer(keras.optimizers.Nadam(0.1))
    optimizer.build([variable])
    optimizer.apply([np.array([np.inf, 1.0], "float32")], [variable])
    assert float(optimizer._u_product) == 1.0
    np.testing.assert_array_equal(variable.numpy(), np.ones(2))


class _OwnStep(keras.optimizers.SGD):
    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "leave it out"),
        (
            lambda: keras.optimizers.MultiOptimizer(lambda v: keras.optimizers.SGD(0.1)),
            "MultiOptimizer is not exact",
        ),
        (lambda: _OwnStep(0.1), "_OwnStep changes Keras's _backend_update_step"),
    ],
)
def test_optimizers_that_can_not_be_exact(make, message):
    with pytest.raises(InputError, match=message):
        patch_optimizer(make())
