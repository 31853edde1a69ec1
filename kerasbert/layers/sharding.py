"""How the variables of an encoder are sharded over devices (tensor parallelism)."""

from typing import Any

import keras

from kerasbert.errors import InputError

# The first product of each pair is sharded by columns and the second by rows, so that devices only
# communicate once per pair (Megatron-LM, Shoeybi et al. 2019, §3). "model" is the mesh's axis.
_CUTS = {
    r"embeddings/token_embedding/embeddings": (None, "model"),
    r"layer_\d+/attention/(query|key|value)/kernel": (None, "model"),
    r"layer_\d+/attention/(query|key|value)/bias": ("model",),
    r"layer_\d+/attention/output/kernel": ("model", None),
    r"layer_\d+/intermediate/kernel": (None, "model"),
    r"layer_\d+/intermediate/bias": ("model",),
    r"layer_\d+/output/kernel": ("model", None),
}


def layout_map(device_mesh: Any, axis: str) -> keras.distribution.LayoutMap:
    """Returns the layouts of an encoder's sharded variables; the others are replicated.

    Args:
        device_mesh: a `keras.distribution.DeviceMesh`.
        axis: name of the mesh's axis to shard along.

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
