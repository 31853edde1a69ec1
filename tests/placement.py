"""Where the operations of our graphs would run on a GPU, asked on a machine that has none.

TensorFlow's wheel for Linux has its kernels for GPUs registered whether there is a GPU or not. A
kernel says for which types it is, and which of its inputs and outputs are in the host's memory.
"""

import collections
import functools
import json
import pathlib
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.python.framework import function_def_to_graph, kernels

from kerasbert import Backbone, BackboneConfig, Pretrainer, TextClassifier
from kerasbert.layers.inference import PrecomputedWeights, inference_mode
from kerasbert.tasks import export
from kerasbert.text import WordPieceTokenizer
from kerasbert.training.optimizers import adamw, lamb

GOLDEN = pathlib.Path(__file__).parent / "goldens" / "placement.json"
ROWS, LENGTH, MASKED = 128, 64, 4


# === Kernels ===


class Registry:
    """The kernels of this TensorFlow."""

    def __init__(self):
        self._kernels = collections.defaultdict(list)
        for kernel in kernels.get_all_registered_kernels().kernel:
            if not kernel.label:
                self._kernels[kernel.device_type, kernel.op].append(kernel)

    def host_arguments(self, op: tf.Operation) -> list[str] | None:
        """What a GPU's kernel reads and writes in the host's memory; None: there is no kernel.

        Kernels for any device ("DEFAULT") serve where a GPU has none of its own.
        """
        for device in ("GPU", "DEFAULT"):
            for kernel in self._kernels[device, op.type]:
                if _takes(kernel, op.node_def.attr):
                    return sorted(set(kernel.host_memory_arg))
        return None


def _takes(kernel, attributes) -> bool:
    for constraint in kernel.constraint:
        value = attributes[constraint.name]
        types = value.list.type or [value.type]
        if not set(types) <= set(constraint.allowed_values.list.type):
            return False
    return True


def use(op: tf.Operation) -> str:
    """An operation with its types, such as "Cast(DstT=float,SrcT=int32)"."""
    types = [
        f"{name}={types_pb2.DataType.Name(value.type).removeprefix('DT_').lower()}"
        for name, value in sorted(op.node_def.attr.items())
        if value.WhichOneof("value") == "type" and not name.startswith("_")
    ]
    return f"{op.type}({','.join(types)})"


# === Graphs ===


def with_functions(graph: tf.Graph) -> Iterator[tf.Graph]:
    """A graph and those of the functions that it calls; not of those that XLA compiles."""
    library = graph.as_graph_def().library.function
    functions = {function.signature.name: function for function in library}
    seen, left = set(), [graph]
    while left:
        graph = left.pop()
        yield graph
        for op in graph.get_operations():
            for name in () if _is_compiled(op.node_def.attr) else _called(op):
                if name in functions and name not in seen:
                    seen.add(name)
                    if not _is_compiled(functions[name].attr):
                        left.append(function_def_to_graph.function_def_to_graph(functions[name]))


def _called(op: tf.Operation) -> list[str]:
    functions = [f for value in op.node_def.attr.values() for f in (value.func, *value.list.func)]
    return [function.name for function in functions if function.name]


def _is_compiled(attributes) -> bool:
    return "_XlaMustCompile" in attributes and attributes["_XlaMustCompile"].b


def waits(graph: tf.Graph, host_arguments: dict[str, list[str] | None]) -> set[str]:
    """Where one kernel leaves in the GPU's memory what another wants in the host's: "A -> B".

    The host waits there, instead of preparing what the GPU is to do next.

    Args:
        graph: without the functions that it calls.
        host_arguments: by `use`, see `Registry`.
    """

    def on_host(op, arguments, index) -> bool:
        name, dtype = _argument(op, arguments, index)
        on_host = host_arguments[use(op)]
        # Functions take and give int32 in the host's memory.
        is_function = op.type == "Placeholder" or _called(op)
        return on_host is None or name in on_host or bool(is_function and dtype == tf.int32)

    return {
        f"{use(tensor.op)} -> {use(op)}"
        for op in graph.get_operations()
        for index, tensor in enumerate(op.inputs)
        if tensor.dtype not in (tf.resource, tf.variant, tf.string)
        and on_host(op, "inputs", index)
        and not on_host(tensor.op, "outputs", tensor.value_index)
    }


def _argument(op: tf.Operation, arguments: str, index: int) -> tuple[str, tf.DType]:
    """The name and type of one among all inputs or outputs."""
    dtype = getattr(op, arguments)[index].dtype
    attributes = op.node_def.attr
    for argument in getattr(op.op_def, arguments.removesuffix("s") + "_arg"):
        count = 1
        if argument.number_attr:
            count = attributes[argument.number_attr].i
        elif argument.type_list_attr:
            count = len(attributes[argument.type_list_attr].list.type)
        if index < count:
            return argument.name, dtype
        index -= count
    raise ValueError(f"{op.name} has no such thing")


def after(graph: tf.Graph, kind: str) -> set[tf.Operation]:
    """All operations that look at the results of one of such a kind."""
    found = set()
    for op in graph.get_operations():  # in the order of their making
        if any(tensor.op.type == kind or tensor.op in found for tensor in op.inputs):
            found.add(op)
    return found


# === Ours ===


def _backbone(dtype: str) -> Backbone:
    config = BackboneConfig(
        vocabulary_size=500,
        num_layers=1,
        hidden_dim=128,
        num_heads=2,
        intermediate_dim=256,
        max_sequence_length=LENGTH,
        pooler=True,
    )
    return Backbone(config, dtype=dtype)


def _ints(*shape) -> tf.TensorSpec:
    return tf.TensorSpec(shape, tf.int32)


def _features(rows, length) -> dict:
    return {name: _ints(rows, length) for name in ("token_ids", "padding_mask", "segment_ids")}


def _step(model, *data) -> tf.Graph:
    model.optimizer.build(model.trainable_variables)
    model.counts_examples = True
    return tf.function(model.train_step, autograph=False).get_concrete_function(data).graph


def pretraining(rows, length, masked, dtype="mixed_bfloat16", optimizer=adamw, **compiled):
    """The graph of a step."""
    model = Pretrainer(_backbone(dtype))
    model.compile(optimizer(1e-3, ema=0.9), **compiled)
    features = {**_features(rows, length), "mask_positions": _ints(rows, masked)}
    labels = {"mlm_logits": _ints(rows, masked), "nsp_logits": _ints(rows)}
    weights = {name: tf.TensorSpec(y.shape, tf.float32) for name, y in labels.items()}
    return _step(model, features, labels, weights)


def finetuning(rows, length):
    """The graph of a step."""
    model = TextClassifier(_backbone("mixed_bfloat16"), ["a", "b"])
    model.compile()
    return _step(model, _features(rows, length), _ints(rows))


def _exported(signature: str) -> tf.Graph:
    tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a"])
    model = TextClassifier(
        _backbone("bfloat16"), ["a", "b"], tokenizer=tokenizer, sequence_length=LENGTH
    )
    inputs, function = model.serving_signature()
    specs = {name: tf.TensorSpec([None], tf.string, name=name) for name in inputs}
    if signature == "features":
        specs, function = export.tokens_signature(model)
    function = inference_mode(PrecomputedWeights())(function)
    return tf.function(function, autograph=False).get_concrete_function(**specs).graph


#: Steps of training, and what an export computes.
GRAPHS = {
    "pretraining": functools.partial(pretraining, ROWS, LENGTH, MASKED),
    "pretraining, batches of any shape": functools.partial(pretraining, None, None, None),
    "pretraining, float16, LAMB, accumulated": functools.partial(
        pretraining, ROWS, LENGTH, MASKED, "mixed_float16", lamb, accumulation_steps=2
    ),
    "fine-tuning": functools.partial(finetuning, ROWS, LENGTH),
    "fine-tuning, batches of any shape": functools.partial(finetuning, None, None),
    "export, texts": functools.partial(_exported, "texts"),
    "export, features": functools.partial(_exported, "features"),
}


def survey(graph: tf.Graph, host_arguments) -> dict:
    """What a graph uses: host arguments by `use`, what has no kernel, and where the host waits.

    Args:
        graph: with the functions that it calls.
        host_arguments: of an operation, see `Registry`.
    """
    graphs = list(with_functions(graph))
    uses = {use(op): host_arguments(op) for one in graphs for op in one.get_operations()}
    return {
        "kernels": uses,
        "no_kernel": sorted(name for name, arguments in uses.items() if arguments is None),
        "waits": sorted(set().union(*(waits(one, uses) for one in graphs))),
    }


def golden() -> dict:
    """What `goldens/make_placement.py` wrote."""
    return json.loads(GOLDEN.read_text())
