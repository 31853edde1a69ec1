"""The devices that a run on JAX computes on together."""

import contextlib
from collections.abc import Iterator

import keras

from kerasbert.backbone import Backbone
from kerasbert.errors import InputError
from kerasbert.recipes.options import TrainingOptions


@contextlib.contextmanager
def distributed(options: TrainingOptions) -> Iterator[None]:
    """While this lasts, models are made, and trained, on as many devices as the options say.

    Raises:
        InputError: there are fewer, or they can't share the weights evenly.
    """
    shape = options.data_parallel, options.model_parallel
    count = shape[0] * shape[1]
    if count == 1:
        yield
        return
    devices = keras.distribution.list_devices()
    if len(devices) < count:
        raise InputError(
            f"--data_parallel={shape[0]} and --model_parallel={shape[1]} need {count} devices, and "
            f"JAX has {len(devices)}; --num_virtual_devices={count} makes so many of the CPU"
        )
    mesh = keras.distribution.DeviceMesh(shape, ("batch", "model"), devices[:count])
    layouts = Backbone.get_layout_map(mesh)
    with keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch").scope():
        try:
            yield
        except ValueError as error:  # JAX's own, of a variable
            if isinstance(error, InputError) or "evenly divide" not in str(error):
                raise
            raise InputError(
                f"--model_parallel={shape[1]} must divide the model's hidden_dim and "
                "intermediate_dim"
            ) from None
