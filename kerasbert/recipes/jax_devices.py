"""Distribution of a run on JAX over several devices."""

import contextlib
from collections.abc import Iterator

import keras

from kerasbert.backbone import Backbone
from kerasbert.errors import InputError
from kerasbert.recipes.options import TrainingOptions


@contextlib.contextmanager
def distributed(options: TrainingOptions) -> Iterator[None]:
    """Returns a context that distributes models over `data_parallel * model_parallel` devices.

    Args:
        options: options of the run.

    Raises:
        InputError: there are too few devices, or `model_parallel` does not divide `hidden_dim` and
            `intermediate_dim` of the model.
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
        except ValueError as error:  # raised by JAX when a variable is created
            if isinstance(error, InputError) or "evenly divide" not in str(error):
                raise
            raise InputError(
                f"--model_parallel={shape[1]} must divide the model's hidden_dim and "
                "intermediate_dim"
            ) from None
