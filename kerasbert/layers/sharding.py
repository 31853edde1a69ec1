"""How the variables of an encoder are cut for several devices that share one model."""

import keras

from kerasbert.errors import InputError

# A layer's first product is cut by its columns and the second by its rows, so that devices meet
# once after each pair (Megatron-LM, Shoeybi et al. 2019, §3); "model" stands for the mesh's axis.
_CUTS = {
    r"embeddings/token_embedding/embeddings": (None, "model"),
    r"layer_\d+/attention/(query|key|value)/kernel": (None, "model"),
    r"layer_\d+/attention/(query|key|value)/bias": ("model",),
    r"layer_\d+/attention/output/kernel": ("model", None),
    r"layer_\d+/intermediate/kernel": (None, "model"),
    r"layer_\d+/intermediate/bias": ("model",),
    r"layer_\d+/output/kernel": ("model", None),
}


def layout_map(device_mesh, axis: str) -> keras.distribution.LayoutMap:
    """The layouts of an encoder's variables; every device has all of those that are not in it.

    Args:
        device_mesh: a `keras.distribution.DeviceMesh`.
        axis: its axis along which variables are cut.

    Raises:
        InputError: the mesh has no such axis.
    """
    if axis not in device_mesh.axis_names:
        names = ", ".join(device_mesh.axis_names)
        raise InputError(f"the mesh has no axis {axis!r} to cut weights along; it has {names}")
    layouts = keras.distribution.LayoutMap(device_mesh)
    for path, cuts in _CUTS.items():
        layouts[path] = tuple(cut and axis for cut in cuts)
    return layouts
