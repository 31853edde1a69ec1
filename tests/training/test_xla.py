"""Steps that XLA compiles whole, as on GPUs and TPUs; here for a CPU."""

import pathlib

import numpy as np
import placement
import programs
import pytest
import tensorflow as tf
from tensorflow.python.framework.kernels import get_all_registered_kernels as all_kernels
from tensorflow.python.tpu import tpu_replication

from kerasbert import InputError, TextClassifier, TokenClassifier
from kerasbert.training.optimizers import adamw

PROGRAM = pathlib.Path(__file__).with_name("xla_program.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    directory = tmp_path_factory.mktemp("xla")
    # What is compiled runs a few times.
    flags = f"--xla_dump_to={directory} --xla_dump_hlo_as_text --xla_backend_optimization_level=0"
    flags += " --xla_llvm_disable_expensive_passes=true"
    return programs.arrays(PROGRAM, directory, {"one": ("tasks", {"XLA_FLAGS": flags})})["one"]


@pytest.mark.full
@pytest.mark.parametrize("task", ["pretraining", "finetuning"])
def test_losses_are_those_without_xla(found, task):
    np.testing.assert_allclose(found[f"{task}_xla"], found[f"{task}_plain"], rtol=1e-4)
    assert found[f"{task}_xla"][1] < found[f"{task}_xla"][0]
    assert found[f"{task}_plain_compiles"] == 0


@pytest.mark.full
def test_pretraining_is_compiled_once(found):
    assert found["pretraining_xla_compiles"] == 1


@pytest.mark.full
def test_texts_are_padded_to_few_lengths(found):
    """So that there are few programs: for each length, of whole batches and of an epoch's last."""
    shapes = {tuple(shape) for shape in found["finetuning_xla_shapes"]}
    assert {length for _, length in shapes} == {32, 64}
    assert {rows for rows, _ in shapes} == {3, 4}
    assert len(shapes) < len(found["finetuning_plain_shapes"])
    assert found["finetuning_xla_compiles"] == len(shapes)


@pytest.mark.parametrize("name", ["pretraining", "fine-tuning"])
def test_no_shape_of_a_step_is_unknown(name):
    """As a TPU wants it, where a batch has one shape."""
    with_unknown = {
        placement.use(op)
        for op in placement.GRAPHS[name]().get_operations()
        for tensor in op.outputs
        if tensor.dtype not in (tf.resource, tf.variant) and not tensor.shape.is_fully_defined()
    }
    assert not with_unknown


@pytest.mark.parametrize("name", [name for name in placement.GRAPHS if "export" not in name])
def test_xla_has_every_operation_of_a_step(name):
    """TensorFlow's wheel has no list for TPUs, whose compiler comes with them, but XLA's own.

    What it does have is a list of those that a TPU can't compute even so.
    """
    tf.function(lambda: tf.zeros(()), jit_compile=True)()  # registers XLA's kernels
    known = {k.op for k in all_kernels().kernel if k.device_type == "XLA_GPU_JIT"}
    assert len(known) > 400
    graph = placement.GRAPHS[name]()
    functions = graph.as_graph_def().library.function
    used = {op.type for op in graph.get_operations()}
    used |= {node.op for function in functions for node in function.node_def}
    used -= {"Placeholder", *(function.signature.name for function in functions)}  # arguments
    assert used <= known
    assert used.isdisjoint(tpu_replication._UNSUPPORTED_OPS)
    assert len(used) > 40


def test_several_replicas_are_refused(tiny_backbone, tokenizer):
    # Only a strategy that computes needs its devices to be there.
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = TextClassifier(tiny_backbone(tokenizer), ["a", "b"])
        with pytest.raises(InputError, match="several replicas can't take jit_compile"):
            model.compile(adamw(1e-3), jit_compile=True)


def test_tags_are_padded_with_their_texts(tiny_backbone, tokenizer):
    model = TokenClassifier(tiny_backbone(tokenizer), ["O", "B-x", "I-x"], tokenizer=tokenizer)
    text = model.preprocessor.with_few_lengths()
    words, tags = [["good", "dog"], ["cat"]], [["O", "B-x"], ["O"]]
    (batch,) = text.training_batches(words, tags, batch_size=2).take(1)
    length = model.sequence_length
    assert length < 32  # so that it is the only one
    shapes = {tuple(tensor.shape) for tensor in tf.nest.flatten(batch)}
    assert shapes == {(2, length)}
