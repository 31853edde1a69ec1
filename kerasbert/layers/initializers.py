"""How BERT's weights start and which activations it knows by name."""

import functools

import keras

from kerasbert.errors import InputError

#: Names of activations in configs -> functions. BERT's own GELU is the tanh approximation
#: (google-research/bert, `modeling.gelu`); "gelu" is the exact one.
ACTIVATIONS = {
    "gelu": functools.partial(keras.activations.gelu, approximate=False),
    "gelu_tanh": functools.partial(keras.activations.gelu, approximate=True),
    "relu": keras.activations.relu,
    "silu": keras.activations.silu,
    "tanh": keras.activations.tanh,
}


def activation_function(name: str):
    """Returns the activation called `name`; raises `InputError` listing the known names."""
    if name not in ACTIVATIONS:
        raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}, found {name!r}")
    return ACTIVATIONS[name]


def kernel_initializer(stddev: float = 0.02) -> keras.initializers.Initializer:
    """A normal distribution cut off at two standard deviations (BERT, `create_initializer`)."""
    return keras.initializers.TruncatedNormal(stddev=stddev)
