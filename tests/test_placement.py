"""What of a step and of an export a GPU would compute, without one; see `placement`."""

import functools

import placement
import pytest
import tensorflow as tf

GOLDEN = placement.golden()
HAS_KERNELS = tf.test.is_built_with_cuda()
SAME_VERSION = tf.__version__ == GOLDEN["tensorflow"]


@functools.cache
def graph(name):
    return placement.GRAPHS[name]()


@functools.cache
def found(name):
    """By the kernels of this TensorFlow, or by those that the golden file remembers."""
    if HAS_KERNELS:
        return placement.survey(graph(name), placement.Registry().host_arguments)

    def remembered(op):
        used = placement.use(op)
        assert used in GOLDEN["kernels"], f"{used} is new; run tests/goldens/make_placement.py"
        return GOLDEN["kernels"][used]

    return placement.survey(graph(name), remembered)


def test_the_registry_tells_what_has_no_kernel():
    with tf.Graph().as_default():
        lowered = tf.strings.lower(tf.constant(["A"]))
        rounded = tf.gather_nd(tf.zeros((2, 2), tf.bfloat16), [[0, 1]])
        product = tf.matmul(tf.zeros((2, 2), tf.bfloat16), tf.zeros((2, 2), tf.bfloat16))
    if not HAS_KERNELS:
        pytest.skip("this TensorFlow has no kernels for GPUs")
    registry = placement.Registry()
    kernels = [registry.host_arguments(x.op) for x in (lowered, rounded, product)]
    assert kernels == [None, None, []]


def test_waits_are_seen():
    with tf.Graph().as_default() as made:
        highest = tf.argmax(tf.zeros((2, 3)), axis=-1, output_type="int32")
        tf.equal(highest, tf.ones((2,), tf.int32))
    kernels = {
        "ArgMax(T=float,Tidx=int32,output_type=int32)": ["dimension"],
        "Const(dtype=float)": [],
        "Const(dtype=int32)": ["output"],
        "Equal(T=int32)": ["x", "y", "z"],
    }
    (wait,) = placement.waits(made, kernels)
    assert wait == "ArgMax(T=float,Tidx=int32,output_type=int32) -> Equal(T=int32)"


@pytest.mark.parametrize("name", [name for name in placement.GRAPHS if "export" not in name])
def test_a_gpu_has_every_kernel_of_a_training_step(name):
    # What an assertion would say stays on the host.
    assert set(found(name)["no_kernel"]) <= {"Const(dtype=string)"}


@pytest.mark.parametrize("name", [name for name in placement.GRAPHS if "export" in name])
def test_an_export_leaves_the_gpu_for_strings_only(name):
    """Text becomes ids on the host, and classes become names there; nothing between them."""
    no_kernel = set(found(name)["no_kernel"])
    assert ("texts" in name) == any("Wordpiece" in use for use in no_kernel)
    behind = {placement.use(op) for op in placement.after(graph(name), "MatMul")}
    assert all("=string" in use for use in behind & no_kernel)
    # Of features nothing but names of classes may be missing.
    assert "texts" in name or all("=string" in use for use in no_kernel)


@pytest.mark.skipif(not SAME_VERSION, reason="another TensorFlow has other kernels")
@pytest.mark.parametrize("name", placement.GRAPHS)
def test_golden_file(name):
    """A difference that is meant: `python tests/goldens/make_placement.py`."""
    survey = dict(found(name))
    assert survey.pop("kernels").items() <= GOLDEN["kernels"].items()
    assert survey == GOLDEN["graphs"][name]
