"""BERT's weight initializer and activations."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from kerasbert.errors import InputError

#: Activations by their names in configs. BERT's GELU is the tanh approximation
#: (google-research/bert, `modeling.gelu`); "gelu" is exact.
ACTIVATIONS = {
    "gelu": functools.partial(keras.activations.gelu, approximate=False),
    "gelu_tanh": functools.partial(keras.activations.gelu, approximate=True),
    "relu": keras.activations.relu,
    "silu": keras.activations.silu,
    "tanh": keras.activations.tanh,
}


def activation_function(name: str | None) -> Callable[..., Any]:
    """Returns the activation called `name`; raises `InputError` listing the known names."""
    if name is None or name not in ACTIVATIONS:
        raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}, found {name!r}")
    return ACTIVATIONS[name]


# Any: Keras declares no types of its layers' arguments; type checkers infer those of the defaults,
# which are strings.
def kernel_initializer(stddev: float = 0.02) -> Any:
    """Returns a normal distribution truncated at two standard deviations, as in BERT."""
    return keras.initializers.TruncatedNormal(stddev=stddev)
