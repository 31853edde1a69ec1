"""Traced functions of a model."""

from collections.abc import Callable

from kerasbert.layers.inference import inference_mode
from kerasbert.lazy import tensorflow as tf


def forward(model) -> Callable:
    """Returns the traced function from features to a model's outputs."""
    return tf.function(
        inference_mode()(lambda features: model(features, training=False)),
        reduce_retracing=True,
        autograph=False,  # AutoGraph warns about decorated lambdas
    )
