"""The signatures of a SavedModel, read without loading its graph."""

import os
import pathlib
from typing import Any

from kerasbert import files
from kerasbert.features import LENGTHS, LIST_COLUMNS

#: The file of a SavedModel's graph, and the signature that takes the inputs of a task.
GRAPH, DEFAULT = "saved_model.pb", "serving_default"


def read(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the `SignatureDef`s of a SavedModel that take inputs, by name."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = files.read_bytes(pathlib.Path(directory) / GRAPH)
    model = saved_model_pb2.SavedModel.FromString(content)
    return {name: one for name, one in model.meta_graphs[0].signature_def.items() if one.inputs}


def shape(info: Any) -> tuple[int | None, ...]:
    """Returns the shape of a `TensorInfo`; None stands for any size."""
    return tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)


def is_string(info: Any) -> bool:
    """Whether a `TensorInfo` is of strings."""
    from tensorflow.core.framework import types_pb2

    return info.dtype == types_pb2.DT_STRING


def takes_strings(signature: Any) -> bool:
    """Whether some input of a signature is of strings."""
    return any(map(is_string, signature.inputs.values()))


def takes_lists(signature: Any) -> bool:
    """Whether a row has a list of strings, which a server must not pad with other strings."""
    return bool(set(signature.inputs) & set(LIST_COLUMNS))


def may_be_padded(signature: Any) -> bool:
    """Whether a server may pad the ready features of a signature, each with its first element.

    `lengths` stays right only if it has one number for each row, not one for each chunk or choice.
    """
    return len(shape(signature.inputs[LENGTHS])) == 1
