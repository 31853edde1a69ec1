"""The ops that releases of TensorFlow Serving register, and those that an export uses."""

import collections
import itertools
import pathlib

from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

#: A file for each release, written by `tests/serving/check_releases.py`.
OPS = pathlib.Path(__file__).with_name("ops")
RELEASES = ("2.12", "2.20")


def table(release):
    """Returns the attributes of each op that a release of TensorFlow Serving registers."""
    lines = (OPS / f"{release}.txt").read_text().splitlines()
    return {op: set(attributes) for op, *attributes in map(str.split, lines)}


def used(directory):
    """Returns the attributes of each op of an export, in all of its functions.

    Those with default values are left out, as when a server reads the export: it gets the defaults
    of the TensorFlow that wrote it from the same file.
    """
    content = (directory / "saved_model.pb").read_bytes()
    meta_graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
    graph, written_by = meta_graph.graph_def, meta_graph.meta_info_def.stripped_op_list
    defaults = {op.name: {one.name: one.default_value for one in op.attr} for op in written_by.op}
    functions = graph.library.function
    nodes = itertools.chain(graph.node, *(function.node_def for function in functions))
    names = {function.signature.name for function in functions}
    found = collections.defaultdict(set)
    for node in nodes:
        if node.op not in names:
            default = defaults.get(node.op, {})
            found[node.op] |= {
                name
                for name, value in node.attr.items()
                if not name.startswith("_") and value != default.get(name)
            }
    return found


def unknown(found, known):
    """Returns ops, and attributes as `op.attribute`, that are used but not registered."""
    missing = {op for op in found if op not in known}
    return missing | {
        f"{op}.{name}" for op in found.keys() - missing for name in found[op] - known[op]
    }


def written(ops: op_def_pb2.OpList) -> str:
    """Returns a table as text: an op with its attributes in each line."""
    lines = [" ".join([op.name, *sorted(one.name for one in op.attr)]) for op in ops.op]
    return "".join(f"{line}\n" for line in sorted(lines))
