"""The dtypes that models can have."""

from typing import Any

import keras

from kerasbert.errors import InputError, shown
from kerasbert.layers.state import QUANTIZATIONS


def check_dtype(dtype: Any) -> None:
    """Raises `InputError` if an argument `dtype` is no policy of float weights.

    Args:
        dtype: as in `Backbone`; Keras's policies and None, the global one, are not checked.
    """
    if dtype is None or isinstance(dtype, keras.dtype_policies.DTypePolicy):
        return
    try:
        policy = keras.dtype_policies.get(dtype)
        floats = "float" in policy.compute_dtype and not getattr(policy, "quantization_mode", None)
    except (TypeError, ValueError):
        floats = False
    if floats:
        return
    mode = next((one for one in QUANTIZATIONS if str(dtype).startswith(one)), None)
    advice = (
        f"; model.quantize({mode!r}) makes the weights of a loaded model {mode}" if mode else ""
    )
    raise InputError(
        "dtype must be float32, bfloat16, float16, mixed_bfloat16 or mixed_float16, found "
        f"{shown(dtype)}{advice}"
    )
