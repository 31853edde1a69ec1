"""The function from features to outputs, traced once."""

from collections.abc import Callable

from kerasbert.layers.inference import inference_mode
from kerasbert.lazy import tensorflow as tf


def forward(model) -> Callable:
    """The function from features to a model's outputs."""
    return tf.function(
        inference_mode()(lambda features: model(features, training=False)),
        reduce_retracing=True,
        autograph=False,  # it warns of a lambda that is decorated
    )
