"""Traced functions of a model."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasbert.layers.inference import inference_mode
from kerasbert.lazy import tensorflow as tf
from kerasbert.text.packing import few_lengths
from kerasbert.training.steps import ON_TENSORFLOW


def forward(model: Any) -> Callable[..., Any]:
    """Returns the traced function from features to a model's outputs."""
    return tf.function(
        inference_mode()(lambda features: model(features, training=False)),
        reduce_retracing=True,
        autograph=False,  # AutoGraph warns about decorated lambdas
    )


def outputs_of(task: Any, features: dict[str, Any]) -> Any:
    """Returns a task's outputs for features, in a graph of TensorFlow; on JAX, JAX computes them.

    Args:
        task: the model, with outputs of (batch, sequence, ...).
        features: int32 tensors, (batch, sequence).
    """
    if ON_TENSORFLOW:
        return task(features, training=False)
    names, specs = list(features), keras.tree.flatten(task.output)
    outputs = tf.numpy_function(
        lambda *columns: _on_jax(task, dict(zip(names, columns, strict=True))),
        list(features.values()),
        [spec.dtype for spec in specs],
    )
    outputs = [
        tf.ensure_shape(output, spec.shape) for output, spec in zip(outputs, specs, strict=True)
    ]
    return keras.tree.pack_sequence_as(task.output, outputs)


def _on_jax(task, features: dict) -> list[np.ndarray]:
    """Returns a task's outputs, computed on few shapes: XLA compiles the model for each."""
    rows, length = next(iter(features.values())).shape
    longest = next(n for n in few_lengths(task.sequence_length) if n >= length)
    size = 1 << max(0, rows - 1).bit_length()
    more = (0, size - rows), (0, longest - length)
    outputs = task.predict_on_batch({name: np.pad(x, more) for name, x in features.items()})
    return [np.asarray(output)[:rows, :length] for output in keras.tree.flatten(outputs)]
