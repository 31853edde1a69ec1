"""Exports a task: here, as a SavedModel that takes raw strings."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from kerasbert import _compat
from kerasbert.errors import InputError
from kerasbert.features import LENGTHS, MASK_POSITIONS, PADDING_MASK, SEGMENT_IDS, TOKEN_IDS
from kerasbert.layers.inference import PrecomputedWeights, inference_mode
from kerasbert.layers.state import has_16_bits, is_quantized
from kerasbert.lazy import tensorflow as tf
from kerasbert.serving import saved_model
from kerasbert.serving.formats import FORMATS, LITERT, SAVED_MODEL
from kerasbert.tasks import inspection, runtime_export


def write(
    task: Any,
    path: str | os.PathLike[str],
    *,
    format: str,
    precision: str | None,
    batch_size: int | None,
    length: int | None,
    attention: bool,
    check: bool,
    overwrite: bool,
) -> None:
    """Implements `Task.export`."""
    if format not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, found {format!r}")
    if precision not in (None, "int8"):
        raise InputError(f"precision must be 'int8' or None, found {precision!r}")
    if precision and format == SAVED_MODEL:
        raise InputError(
            "precision='int8' is not for a SavedModel: it would be no faster than bfloat16; use "
            "format='onnx' or 'openvino'"
        )
    if format != LITERT and (batch_size, length) != (None, None):
        raise InputError(f"batch_size and length are for LiteRT; {format} takes any number of rows")
    task.warn_of_random_weights("its export depends")
    if format == SAVED_MODEL:
        _write_saved_model(task, path, attention=attention, check=check, overwrite=overwrite)
        return
    if attention:
        raise InputError(f"attention is for a SavedModel; {format} has one signature")
    shape = runtime_export.fixed_shape(task, batch_size, length) if format == LITERT else None
    runtime_export.write(
        task,
        path,
        format=format,
        precision=precision,
        shape=shape,
        check=check,
        overwrite=overwrite,
    )


def _write_saved_model(
    task, path: str | os.PathLike, *, attention: bool, check: bool, overwrite: bool
) -> None:
    inputs, function = task.serving_signature()
    for_inference = inference_mode(PrecomputedWeights())
    metadata = {
        "task": type(task).__name__,
        "inputs": inputs,
        "sequence_length": task.sequence_length,
        "dtype": task.backbone.embeddings.compute_dtype,
        "tokenizer": task.tokenizer.get_config(),
        **task.head_config(),
    }
    if random := task.random_weights_in_use:
        metadata["uninitialized_weights"] = random
    signatures = {"tokens": tokens_signature(task), "tokenize": inspection.tokenize(task)}
    # The model layer by layer, as in `predict` on features: no merged or precomputed weights, and
    # no skipped padding.
    examples: dict[str, tuple[dict, Callable[..., dict]]] = {
        "tokens": (_example(task), functools.partial(_plain, task))
    }
    if attention or task.backbone.config.return_hidden_states:
        signatures["attention"] = inspection.attention(task)
        texts = inspection.example(task, saved_model.SAMPLES)
        examples["attention"] = (texts, signatures["attention"].function)
        metadata["attention"] = inspection.described(task)
    saved_model.write(
        path,
        for_inference(function),
        inputs,
        metadata,
        resources=task.tokenizer.resources,
        signatures={name: (specs, for_inference(one)) for name, (specs, one) in signatures.items()},
        examples=examples if check else {},
        plain=function,
        tolerance=_tolerance(task),
        check=check,
        overwrite=overwrite,
    )


def tokens_signature(task: Any) -> inspection.Signature:
    """Maps ready features to the outputs of the model, by name."""
    shapes = _token_inputs(task).items()
    specs = {name: tf.TensorSpec(shape, tf.int32, name=name) for name, shape in shapes}
    return inspection.Signature(specs, functools.partial(_of_tokens, task))


def _token_inputs(task) -> dict[str, tuple]:
    """Returns the shapes of the signature `tokens`: ready features, with lengths for the mask.

    A server that batches requests of different lengths pads every tensor with that tensor's first
    element, so a mask would be wrong; lengths stay right if each row has one. Where it has one for
    each chunk or choice, nothing may be padded: see `kerasbert.serving.kit`.
    """
    shapes = {feature.name: tuple(feature.shape) for feature in task.inputs}
    rows = shapes.pop(PADDING_MASK)[:-1]
    return {**shapes, LENGTHS: rows}


def _example(task) -> dict:
    """Returns random features for the signature `tokens`.

    They contain no padding, because outputs at padding are undefined.
    """
    numbers = np.random.default_rng(0)
    config, length = task.backbone.config, min(16, task.sequence_length)
    highest = {
        TOKEN_IDS: config.vocabulary_size,
        SEGMENT_IDS: max(1, config.num_segments),
        MASK_POSITIONS: length,
    }
    shapes = _token_inputs(task)
    rows = [3, *([2] * (len(shapes[LENGTHS]) - 1))]
    features = {LENGTHS: np.full(rows, length)}
    for name in shapes.keys() - features.keys():
        features[name] = numbers.integers(0, highest[name], (*rows, length))
    return {name: tf.constant(value, tf.int32) for name, value in features.items()}


def _plain(task, lengths, **features) -> dict:
    """Returns what `_of_tokens` must, without its code; the rows of an example have no padding."""
    features[PADDING_MASK] = np.ones(features[TOKEN_IDS].shape, "int32")
    assert (lengths.numpy() == features[TOKEN_IDS].shape[-1]).all()
    outputs = task(features, training=False)
    if isinstance(outputs, dict):
        return {name: tf.cast(output, tf.float32) for name, output in outputs.items()}
    return {task.output_name: tf.cast(outputs, tf.float32)}


def _tolerance(task) -> float:
    """Returns the relative difference that another order of computation may cause."""
    layers = _compat.layers_of(task)
    rough = any(is_quantized(one) or has_16_bits(one) for one in layers)
    return 0.03 if rough else 1e-3


def _of_tokens(task, lengths, **features) -> dict:
    """Returns the model's outputs by name, float32."""
    width = tf.shape(features[TOKEN_IDS])[-1]
    features[PADDING_MASK] = tf.sequence_mask(lengths, width, tf.int32)
    outputs = task(features, training=False)
    outputs = outputs if isinstance(outputs, dict) else {task.output_name: outputs}
    return {name: tf.cast(output, tf.float32) for name, output in outputs.items()}
