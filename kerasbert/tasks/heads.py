"""The dense layers of heads, with the initializer of their backbone."""

import keras

from kerasbert.backbone import Backbone
from kerasbert.layers.initializers import activation_function, kernel_initializer


def hidden_layer(backbone: Backbone, activation: str | None, name: str) -> keras.layers.Dense:
    """Returns a layer as wide as the encoder, in the encoder's dtype."""
    return keras.layers.Dense(
        backbone.config.hidden_dim,
        activation=activation_function(activation),
        kernel_initializer=kernel_initializer(backbone.config.initializer_range),
        dtype=backbone.embeddings.dtype_policy,
        name=name,
    )


def output_layer(backbone: Backbone, units: int, name: str) -> keras.layers.Dense:
    """Returns a linear layer in float32, whatever the encoder's dtype."""
    return keras.layers.Dense(
        units,
        kernel_initializer=kernel_initializer(backbone.config.initializer_range),
        dtype="float32",
        name=name,
    )
