"""Exports a task for ONNX Runtime, OpenVINO and LiteRT, through Keras's exporters.

Unlike a SavedModel, such an export takes token features. The tokenizer's files and
`kerasbert.serving.encode`, which turns texts into these features, lie beside the model.
"""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import warnings
from typing import Any

import keras
import numpy as np

from kerasbert import _compat, files, lazy
from kerasbert.errors import InputError
from kerasbert.features import (
    MASK_POSITIONS,
    PADDING_MASK,
    SEGMENT_IDS,
    TOKEN_IDS,
    WORDS,
)
from kerasbert.layers.state import has_16_bits, is_quantized
from kerasbert.serving import encode, exports, runtimes
from kerasbert.serving.formats import LITERT, ONNX, OPENVINO
from kerasbert.tasks import runtime_check, runtime_int8
from kerasbert.text import encoder_files

_FEATURES = {TOKEN_IDS, PADDING_MASK, SEGMENT_IDS, MASK_POSITIONS}
_FIXED_MASKS = 8  # of a LiteRT model, whose shapes are fixed
# Bytes of weights in one file of these formats: their messages end at 2 GiB, with the graph itself.
_LARGEST = {ONNX: 2**31 - 2**24, LITERT: 2**31 - 2**24}


def write(
    task: Any,
    path: str | os.PathLike[str],
    *,
    format: str,
    precision: str | None,
    shape: tuple[int, int] | None,
    check: bool,
    overwrite: bool,
) -> None:
    """Writes the model, the encoder and their settings, and checks them.

    Args:
        task: the model.
        path: directory to write.
        format: one of `kerasbert.serving.formats.FORMATS`, but no SavedModel.
        precision: "int8", or None for float32.
        shape: the fixed batch size and length; None: any.
        check: whether to compare ids and outputs of a fresh process with the model's.
        overwrite: whether to replace an existing export.

    Raises:
        InputError: as `Task.export`.
        RuntimeError: a check failed; nothing is written.
    """
    _refuse(task, format)
    quantize = runtime_int8.quantizer(format) if precision else None
    inputs, _ = task.serving_signature()
    model = keras.Model(_inputs(task), _outputs(task))
    sizes = {name: _sizes(name, shape) for name in sorted(task.input)}
    with files.new_directory(
        path, overwrite=overwrite, check=exports.check_replaceable
    ) as directory:
        _WRITERS[format](model, directory / runtimes.FILES[format], sizes)
        if quantize:
            quantize(directory / runtimes.FILES[format])
        shutil.copyfile(encode.__file__, directory / exports.CODE)
        encoder = encoder_files.write(
            directory,
            task.tokenizer,
            with_mask=MASK_POSITIONS in sizes,
            words=WORDS in task.preprocessor.text_columns[0],
        )
        files.write_json(directory / exports.ENCODER, encoder)
        settings = {
            "format": format,
            "precision": precision or "float32",
            "task": type(task).__name__,
            "inputs": [WORDS] if WORDS in task.preprocessor.text_columns[0] else list(inputs),
            "features": {name: list(size) for name, size in sizes.items()},
            "outputs": sorted(model.output),
            "shape": list(shape) if shape else None,
            "prompt": "",
            **task.head_config(),
            "sequence_length": shape[1] if shape else task.sequence_length,
        }
        if random := task.random_weights_in_use:
            settings["uninitialized_weights"] = random
        files.write_json(directory / exports.SETTINGS, settings)
        if check:
            runtime_check.check(task, directory, settings)


def _refuse(task, format: str) -> None:
    """Raises `InputError` for models and environments that can't be exported."""
    if keras.backend.backend() != "tensorflow":
        raise InputError(f"export as {format} needs KERAS_BACKEND=tensorflow")
    for module in runtimes.MODULES[format]:
        lazy.extra(module, f"'kerasbert[{format}]'")
    if unknown := task.input.keys() - _FEATURES:
        raise InputError(
            f"{task.name} takes {', '.join(sorted(unknown))}, and has no {format} form"
        )
    if len(task.input[TOKEN_IDS].shape) != 2:
        raise InputError(
            f"{task.name} reads several rows of tokens for an example, and has no {format} form; "
            "only a SavedModel can be exported"
        )
    layers = [layer for layer in _compat.layers_of(task) if layer.weights]
    if any(map(is_quantized, layers)):
        raise InputError(
            f"the weights of {task.name} are quantized by Keras: export as {format} before quantize"
        )
    if any(map(has_16_bits, layers)):
        raise InputError(
            f"export as {format} computes in float32: load the model with dtype='float32'"
        )
    size = 4 * task.count_params()
    if size > _LARGEST.get(format, size):
        raise InputError(
            f"{task.name} has {size / 1e9:.2f} GB of weights in float32, and {format} holds 2.1 GB "
            f"in a file; {OPENVINO} has a file of its own for weights"
        )


def fixed_shape(task: Any, batch_size: int | None, length: int | None) -> tuple[int, int]:
    """Returns batch size and length of a model with fixed shapes; see `Task.export`."""
    batch_size = 1 if batch_size is None else batch_size
    length = int(task.sequence_length if length is None else length)
    if batch_size < 1 or not 4 <= length <= task.sequence_length:
        raise InputError(
            f"batch_size must be 1 or more and length in [4, {task.sequence_length}], found "
            f"{batch_size} and {length}"
        )
    return batch_size, length


def _sizes(name: str, shape) -> tuple[int | None, int | None]:
    if shape is None:
        return None, None
    return (shape[0], min(_FIXED_MASKS, shape[1])) if name == MASK_POSITIONS else shape


def _inputs(task) -> dict:
    """Returns the symbolic inputs by name, sorted, as exporters flatten them."""
    return {name: task.input[name] for name in sorted(task.input)}


def _outputs(task) -> dict:
    """Returns the symbolic outputs by name: what a SavedModel answers, if that needs no text.

    Several outputs stay the logits that the signature `tokens` of a SavedModel has.
    """
    outputs = task.output
    if isinstance(outputs, dict):
        return dict(outputs)
    if task.outputs_activation == "softmax":
        return {"scores": keras.ops.softmax(outputs, axis=-1)}
    if task.outputs_activation == "sigmoid":
        return {"scores": keras.ops.sigmoid(outputs)}
    if task.outputs_are == "numbers":
        return {"value": outputs[:, 0]} if outputs.shape[-1] == 1 else {"values": outputs}
    return {task.output_name: outputs}


# === Formats ===


def _signature(sizes: dict) -> list[dict]:
    return [
        {
            name: keras.InputSpec(shape=size, dtype="int32", name=name)
            for name, size in sizes.items()
        }
    ]


def _write_onnx(model, path: pathlib.Path, sizes: dict) -> None:
    import onnx

    _register_erfc()
    with _compat.onnx_optimized_in_place(), warnings.catch_warnings():
        # Of Keras, which makes tf2onnx fit for NumPy 2.
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        model.export(str(path), format="onnx", verbose=False, input_signature=_signature(sizes))
    stored = onnx.load(path)
    names = {name: ("batch", "masks" if name == MASK_POSITIONS else "length") for name in sizes}
    for one in stored.graph.input:
        for dimension, name in zip(one.type.tensor_type.shape.dim, names[one.name], strict=True):
            dimension.dim_param = name
    onnx.checker.check_model(stored)
    onnx.save(stored, path)


@functools.cache
def _register_erfc() -> None:
    """Teaches tf2onnx an operation of the exact GELU, which ONNX lacks."""
    from tf2onnx import handler

    @handler.tf_op("Erfc")
    class Erfc:
        @classmethod
        def version_9(cls, ctx, node, **kwargs):
            shape, dtype = ctx.get_shape(node.output[0]), ctx.get_dtype(node.output[0])
            erf = ctx.make_node("Erf", node.input, shapes=[shape], dtypes=[dtype])
            one = ctx.make_const(f"{node.name}_one", np.array(1, "float32"))
            ctx.remove_node(node.name)
            inputs = [one.output[0], erf.output[0]]
            kept = {"name": node.name, "outputs": node.output, "shapes": [shape], "dtypes": [dtype]}
            ctx.make_node("Sub", inputs, **kept)


def _write_openvino(model, path: pathlib.Path, sizes: dict) -> None:
    import openvino

    first = path.with_name("nameless.xml")
    model.export(str(first), format="openvino", verbose=False, input_signature=_signature(sizes))
    stored = openvino.Core().read_model(first)
    for output, name in zip(stored.outputs, sorted(model.output), strict=True):
        output.tensor.set_names({name})
    openvino.serialize(stored, path)
    del stored
    for suffix in (".xml", ".bin"):
        first.with_suffix(suffix).unlink()


def _write_litert(model, path: pathlib.Path, sizes: dict) -> None:
    import tensorflow as tf

    builtins = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    model.export(
        str(path),
        format="litert",
        verbose=False,
        input_signature=_signature(sizes),
        target_spec=builtins,
    )


_WRITERS = {ONNX: _write_onnx, OPENVINO: _write_openvino, LITERT: _write_litert}
